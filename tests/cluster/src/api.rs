use std::{fmt, path::Path, sync::Arc, time::Duration};

use kit::Deadline;
use kube::{
    Client, Config,
    api::{DeleteParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Access to an API server, for tests that wait.
#[derive(Clone)]
pub struct Api {
    runtime: Arc<Runtime>,
    client: Client,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

impl Api {
    pub(crate) fn connect(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client = client(kubeconfig, &runtime);
        Self { runtime: Arc::new(runtime), client }
    }

    pub(crate) fn await_ready(&self, deadline: Deadline) {
        let ready = || {
            let request = http::Request::get("/readyz").body(Vec::new()).expect("a request");
            self.runtime.block_on(self.client.request_text(request)).is_ok()
        };
        while !ready() {
            assert!(deadline.left().is_some(), "the API server does not become ready");
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the kinds that were installed are served.
    pub(crate) fn await_kinds(&self) {
        let deadline = Deadline::default();
        loop {
            let list = self.runtime.block_on(
                kube::api::Api::<DynamicObject>::all_with(self.client.clone(), &definition())
                    .list(&kube::api::ListParams::default()),
            );
            let all = list.map(|list| list.items).unwrap_or_default();
            let established = |object: &DynamicObject| {
                object.data["status"]["conditions"].as_array().is_some_and(|conditions| {
                    conditions.iter().any(|one| one["type"] == "Established" && one["status"] == "True")
                })
            };
            if !all.is_empty() && all.iter().all(established) {
                return;
            }
            assert!(deadline.left().is_some(), "definitions are not established");
            std::thread::sleep(LOOK);
        }
    }

    /// Creates or changes the objects of a file.
    #[track_caller]
    pub fn apply_file(&self, file: &Path) {
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.apply(&text);
    }

    /// Creates or changes objects, as `kubectl apply --server-side` does, except that everything is taken by force.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        for object in documents(yaml) {
            if let Err(error) = self.try_apply(&object) {
                panic!("cannot apply {}: {error}", summary(&object));
            }
        }
    }

    /// The same for one object, with the API server's opinion.
    ///
    /// # Errors
    /// The API server does not take it.
    pub fn try_apply(&self, object: &Value) -> kube::Result<Value> {
        let deadline = Deadline::default();
        let (api, name) = self.api_of(object);
        let params = PatchParams::apply("test").force();
        loop {
            match self.runtime.block_on(api.patch(&name, &params, &Patch::Apply(object))) {
                Ok(object) => return Ok(serde_json::to_value(object).expect("JSON")),
                // A kind that has just been defined is not served at once.
                Err(kube::Error::Api(status)) if status.code == 404 && deadline.left().is_some() => {
                    std::thread::sleep(LOOK);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Changes an object by a merge patch; `reference` is `apiVersion/Kind namespace/name`.
    #[track_caller]
    pub fn patch(&self, reference: &str, patch: Value) -> Value {
        let (api, name) = self.api_to(reference);
        let params = PatchParams { field_manager: Some("test-edit".to_owned()), ..PatchParams::default() };
        let patched = self.runtime.block_on(api.patch(&name, &params, &Patch::Merge(patch)));
        serde_json::to_value(patched.unwrap_or_else(|error| panic!("{reference}: {error}"))).expect("JSON")
    }

    /// Changes the status of an object by a merge patch.
    #[track_caller]
    pub fn patch_status(&self, reference: &str, status: &Value) {
        self.try_patch_status(reference, status).unwrap_or_else(|error| panic!("{reference}: {error}"));
    }

    /// All objects of a kind, for programs that go on when the server is not there.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub fn try_list(&self, reference: &str) -> kube::Result<Vec<Value>> {
        let (api, _) = self.api_to(reference);
        let list = self.runtime.block_on(api.list(&kube::api::ListParams::default()))?;
        Ok(list.items.into_iter().map(|object| serde_json::to_value(object).expect("JSON")).collect())
    }

    /// Changes the status of an object by a merge patch.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub fn try_patch_status(&self, reference: &str, status: &Value) -> kube::Result<()> {
        let (api, name) = self.api_to(reference);
        let params = PatchParams { field_manager: Some("test-status".to_owned()), ..PatchParams::default() };
        let patch = serde_json::json!({ "status": status });
        self.runtime.block_on(api.patch_status(&name, &params, &Patch::Merge(patch))).map(drop)
    }

    /// What is no object of its own: a request as it is, such as a POST of a binding.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub fn try_send(&self, method: &str, path: &str, body: &Value) -> kube::Result<Value> {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let request = request.body(body.to_string().into_bytes()).map_err(kube::Error::HttpError)?;
        self.runtime.block_on(self.client.request(request))
    }

    /// A token of a service account, `namespace/name`, good for an audience, and bound to a pod if one is named.
    #[track_caller]
    pub fn token(&self, account: &str, audience: &str, pod: Option<&str>) -> String {
        let (namespace, name) = account.split_once('/').expect("namespace/name");
        let bound = pod.map(|pod| {
            let uid = self.get(&format!("v1/Pod {namespace}/{pod}"))["metadata"]["uid"].clone();
            serde_json::json!({"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid})
        });
        let body = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": 3600, "boundObjectRef": bound},
        });
        let request =
            http::Request::post(format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"))
                .header("content-type", "application/json")
                .body(body.to_string().into_bytes())
                .expect("a request");
        let answer = self.runtime.block_on(self.client.request::<Value>(request));
        let answer = answer.unwrap_or_else(|error| panic!("{account}: {error}"));
        answer["status"]["token"].as_str().expect("a token").to_owned()
    }

    /// Deletes an object, if it is there.
    #[track_caller]
    pub fn delete(&self, reference: &str) {
        let (api, name) = self.api_to(reference);
        match self.runtime.block_on(api.delete(&name, &DeleteParams::background())) {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{reference}: {error}"),
        }
    }

    /// An object, if it is there.
    #[track_caller]
    pub fn find(&self, reference: &str) -> Option<Value> {
        let (api, name) = self.api_to(reference);
        let found = self.runtime.block_on(api.get_opt(&name));
        let found = found.unwrap_or_else(|error| panic!("{reference}: {error}"));
        found.map(|object| serde_json::to_value(object).expect("JSON"))
    }

    /// An object.
    #[track_caller]
    pub fn get(&self, reference: &str) -> Value {
        self.find(reference).unwrap_or_else(|| panic!("no {reference}"))
    }

    /// All objects of a kind in a namespace.
    #[track_caller]
    pub fn list(&self, reference: &str) -> Vec<Value> {
        self.try_list(reference).unwrap_or_else(|error| panic!("{reference}: {error}"))
    }

    /// Waits until an object is there and `holds`; returns it.
    #[track_caller]
    pub fn await_object(&self, reference: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Deadline::after(Duration::from_secs(30));
        loop {
            let found = self.find(reference);
            if let Some(object) = found.as_ref().filter(|object| holds(object)) {
                return object.clone();
            }
            if deadline.left().is_none() {
                let found = found.map_or("is not there".to_owned(), |object| {
                    format!("is {}", serde_json::to_string_pretty(&without_noise(object)).expect("JSON"))
                });
                panic!("{reference}: awaited: {what}; it {found}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until an object is gone.
    #[track_caller]
    pub fn await_gone(&self, reference: &str) {
        let deadline = Deadline::after(Duration::from_secs(30));
        while self.find(reference).is_some() {
            assert!(deadline.left().is_some(), "{reference} is still there");
            std::thread::sleep(LOOK);
        }
    }

    fn api_of(&self, object: &Value) -> (kube::api::Api<DynamicObject>, String) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let api =
            self.api_for(&text(&object["apiVersion"]), &text(&object["kind"]), &text(&metadata["namespace"]));
        (api, text(&metadata["name"]))
    }

    fn api_to(&self, reference: &str) -> (kube::api::Api<DynamicObject>, String) {
        let (kind, key) = reference.split_once(' ').expect("apiVersion/Kind namespace/name");
        let (api_version, kind) = kind.rsplit_once('/').expect("apiVersion/Kind");
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        (self.api_for(api_version, kind, namespace), name.to_owned())
    }

    fn api_for(&self, api_version: &str, kind: &str, namespace: &str) -> kube::api::Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            "" => kube::api::Api::all_with(self.client.clone(), &resource),
            namespace => kube::api::Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }
}

/// A client with the rights of a kubeconfig.
pub(crate) fn client(kubeconfig: &Path, runtime: &Runtime) -> Client {
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
        Client::try_from(config).expect("a client")
    })
}

fn definition() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"))
}

/// The documents of a YAML text.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let documents = yaml.split("\n---").map(|text| text.trim_start_matches("---"));
    let parsed =
        documents.map(|text| serde_saphyr::from_str::<Value>(text).unwrap_or_else(|e| panic!("{e}: {text}")));
    parsed.filter(|value| !value.is_null()).collect()
}

fn summary(object: &Value) -> String {
    format!("{} {}/{}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"])
}

fn without_noise(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}
