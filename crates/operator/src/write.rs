//! Carrying out what was planned.

use std::{sync::Arc, time::Duration};

use gateway::api::{Deployment, ObjectRef, Resource as _};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::DynamicObject,
};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    MANAGER,
    kinds::Kinds,
    plan::{What, Write},
    watch,
};

/// On record as having set the replicas that somebody else set, once the operator itself is not.
const REPLICAS_MANAGER: &str = "stunner-gateway-operator-replicas";

/// Requests under way at a time.
const CONCURRENCY: usize = 16;

/// How long an answer may take. The connection may be one that nobody is at the other end of any more.
const LONGEST: Duration = Duration::from_secs(30);

/// Writes to the API server.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    kinds: Arc<Kinds>,
    slots: Arc<Semaphore>,
}

/// What has become of a write.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) write: Write,
    pub(crate) result: Result<Written, WriteError>,
    pub(crate) took: Duration,
}

/// What the API server says to a write that went well.
#[derive(Debug)]
pub(crate) enum Written {
    /// The object as it is now.
    Object(Value),
    /// There is no such object, any more or from now on.
    Gone,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Somebody else was faster: what was planned is no longer right.
    #[error("it has changed meanwhile")]
    Outdated,
    #[error("the API server does not serve {0}")]
    NotServed(&'static str),
    #[error("the API server has not answered for {} seconds", LONGEST.as_secs())]
    Unanswered,
    #[error("{}", explain(.0))]
    Refused(kube::Error),
}

impl Writer {
    pub(crate) fn new(client: Client, kinds: Arc<Kinds>) -> Self {
        Self { client, kinds, slots: Arc::new(Semaphore::new(CONCURRENCY)) }
    }

    pub(crate) fn set_kinds(&mut self, kinds: Arc<Kinds>) {
        self.kinds = kinds;
    }

    pub(crate) async fn execute(self, write: Write) -> Outcome {
        let _slot = self.slots.acquire().await;
        let begun = Instant::now();
        let answer = tokio::time::timeout(LONGEST, self.send(&write)).await;
        let result = answer.unwrap_or(Err(WriteError::Unanswered));
        Outcome { write, result, took: begun.elapsed() }
    }

    async fn send(&self, write: &Write) -> Result<Written, WriteError> {
        let ObjectRef { group, kind, key } = &write.target;
        let resource = self.kinds.get(group, kind).ok_or(WriteError::NotServed(kind))?;
        let api: Api<DynamicObject> = if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, resource)
        };
        let name = key.name.as_str();
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let answer = match &write.what {
            What::Apply { object, uid, keep_replicas } => {
                if let Some(replicas) = keep_replicas {
                    self.hand_over_replicas(&api, name, *replicas).await.map_err(refused)?;
                }
                let mut object = object.clone();
                if let Some(uid) = uid {
                    object["metadata"]["uid"] = uid.as_str().into();
                }
                // What is there and ours is taken back by force; what has turned up since is not.
                let params = PatchParams { force: uid.is_some(), ..params };
                api.patch(name, &params, &Patch::Apply(object)).await
            }
            What::Strip { patch } => api.patch(name, &params, &Patch::Merge(patch)).await,
            What::Status { patch } => api.patch_status(name, &params, &Patch::Merge(patch)).await,
            What::Delete { uid } => {
                let only = Preconditions { uid: Some(uid.clone()), resource_version: None };
                match api.delete(name, &DeleteParams::background().preconditions(only)).await {
                    Ok(_) => return Ok(Written::Gone),
                    Err(error) => Err(error),
                }
            }
        };
        match answer {
            Ok(object) => Ok(Written::Object(watch::value(object))),
            Err(kube::Error::Api(status)) if status.is_not_found() => match write.what {
                What::Status { .. } | What::Delete { .. } => Ok(Written::Gone),
                What::Apply { .. } | What::Strip { .. } => Err(refused(kube::Error::Api(status))),
            },
            Err(error) => Err(refused(error)),
        }
    }

    async fn hand_over_replicas(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        replicas: i64,
    ) -> kube::Result<()> {
        let object = json!({
            "apiVersion": Deployment::TYPE.api_version(),
            "kind": Deployment::TYPE.kind,
            "spec": {"replicas": replicas},
        });
        let params = PatchParams::apply(REPLICAS_MANAGER).force();
        api.patch(name, &params, &Patch::Apply(object)).await.map(|_| ())
    }
}

fn refused(error: kube::Error) -> WriteError {
    match error {
        kube::Error::Api(status) if status.is_conflict() => WriteError::Outdated,
        error => WriteError::Refused(error),
    }
}

/// What the API server says, once and without its structure.
fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
