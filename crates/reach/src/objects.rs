//! Objects of any kind, as values: for commands that make some and remove them again.

use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;

use crate::{Cluster, Error};

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its group and version, as objects have it.
    pub api_version: &'static str,
    /// Its name.
    pub name: &'static str,
}

impl Kind {
    fn resource(self) -> ApiResource {
        resource(self.api_version, self.name)
    }
}

impl Cluster {
    /// An object, if both it and its kind are there. `namespace` is that of a kind that has namespaces.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn find_object(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let what = format!("get {} {}", kind.name, path(namespace, name));
        let found = self.ask(&what, self.objects(&kind.resource(), namespace).get_opt(name)).await?;
        Ok(found.and_then(|object| serde_json::to_value(object).ok()))
    }

    /// The names of the objects with these labels, by name; none if there is no such kind.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn names_of(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<String>, Error> {
        let what = format!("list objects of kind {} labelled {labels}", kind.name);
        let parameters = ListParams::default().labels(labels);
        let api = self.objects(&kind.resource(), namespace);
        let listing = async {
            match api.list(&parameters).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
                listed => listed.map(|list| list.items),
            }
        };
        let mut names: Vec<String> =
            self.ask(&what, listing).await?.into_iter().filter_map(|object| object.metadata.name).collect();
        names.sort();
        Ok(names)
    }

    /// Makes an object: a value with `apiVersion`, `kind` and `metadata`.
    ///
    /// # Errors
    /// It is there already, the API server refuses, or does not answer.
    pub async fn create(&self, object: &Value) -> Result<(), Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let namespace = object["metadata"]["namespace"].as_str();
        let what = format!("create {kind} {}", path(namespace, &text(&object["metadata"]["name"])));
        let api = self.objects(&resource(&api_version, &kind), namespace);
        let creating = async {
            let object = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
            api.create(&PostParams::default(), &object).await
        };
        self.ask(&what, creating).await.map(drop)
    }

    /// Asks for an object to be removed, if it is there. It may take a while to go.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn remove(&self, kind: Kind, namespace: Option<&str>, name: &str) -> Result<(), Error> {
        let what = format!("delete {} {}", kind.name, path(namespace, name));
        let api = self.objects(&kind.resource(), namespace);
        let removing = async {
            match api.delete(name, &DeleteParams::background()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                removed => removed.map(drop),
            }
        };
        self.ask(&what, removing).await
    }

    fn objects(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client(), namespace, resource),
            None => Api::all_with(self.client(), resource),
        }
    }
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn path(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}
