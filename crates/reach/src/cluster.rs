use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, api::ListParams};
use tokio::time::timeout;

use crate::{Error, Pod, kubeconfig};

/// What the configuration of a legacy dataplane is called in its ConfigMap.
const CONFIG_KEY: &str = "stunnerd.conf";

/// Access to a cluster's API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
    origin: String,
    patience: Option<Duration>,
}

impl Cluster {
    /// The cluster that the flags name, or `KUBECONFIG`, or `~/.kube/config`; nothing if there is none of these. Needs a
    /// tokio runtime. Asks nobody.
    ///
    /// # Errors
    /// What is named cannot be used.
    pub async fn find(flags: &flags::Kubernetes) -> Result<Option<Self>, Error> {
        let Some(kubeconfig::Chosen { config, origin, patience }) = kubeconfig::read(flags).await? else {
            return Ok(None);
        };
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| Error::Kubeconfig {
            origin: origin.clone(),
            problem: kubeconfig::chain(&error),
        })?;
        Ok(Some(Self { client, namespace, origin, patience }))
    }

    /// The namespace that the flags name, or that of the context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// All pods with these labels in a namespace, or in all, by name.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn pods(&self, labels: &str, namespace: Option<&str>) -> Result<Vec<Pod>, Error> {
        let api: Api<k8s_openapi::api::core::v1::Pod> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let parameters = ListParams::default().labels(labels);
        let what = format!("list pods labelled {labels} in {}", place(namespace));
        let list = self.ask(&what, api.list(&parameters)).await?;
        let mut pods: Vec<Pod> = list.items.iter().map(|pod| Pod::new(self.clone(), pod)).collect();
        pods.sort_by_key(Pod::id);
        Ok(pods)
    }

    /// One pod with these labels that is ready; of several the first by name. `what` says what it is for.
    ///
    /// # Errors
    /// There is none, or the API server refuses.
    pub async fn pod(
        &self,
        what: &'static str,
        labels: &str,
        namespace: Option<&str>,
        remedy: &'static str,
    ) -> Result<Pod, Error> {
        let pods = self.pods(labels, namespace).await?;
        if pods.is_empty() {
            let (labels, place) = (labels.to_owned(), place(namespace));
            return Err(Error::NoPod { what, labels, place, remedy });
        }
        let names = pods.iter().map(Pod::id).collect::<Vec<_>>().join(", ");
        let mut ready = pods.into_iter().filter(Pod::is_ready);
        let Some(first) = ready.next() else {
            return Err(Error::NotReady { what, pods: names, place: place(namespace) });
        };
        let others = ready.count();
        if others > 0 {
            tracing::info!(target: "k8s-discover", pod = first.id(), others, "several pods would do");
        }
        Ok(first)
    }

    /// The configuration of a legacy dataplane as it is in the ConfigMap of that name, if there is one.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn legacy_config(&self, namespace: &str, name: &str) -> Result<Option<String>, Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("get the ConfigMap {namespace}/{name}");
        let found = self.ask(&what, api.get_opt(name)).await?;
        Ok(found.and_then(|found| found.data?.remove(CONFIG_KEY)))
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Waits for the API server as long as the flags allow.
    pub(crate) async fn ask<T>(
        &self,
        what: &str,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        let (what, origin) = (what.to_owned(), self.origin.clone());
        let answer = match self.patience {
            Some(deadline) => match timeout(deadline, answer).await {
                Ok(answer) => answer,
                Err(_) => return Err(Error::Deadline { what, origin, deadline }),
            },
            None => answer.await,
        };
        answer.map_err(|error| Error::Api { what, origin, problem: problem(&error) })
    }
}

/// What the API server says, without what the client adds.
fn problem(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        other => kubeconfig::chain(other),
    }
}

fn place(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "any namespace".to_owned(), |namespace| format!("namespace {namespace}"))
}
