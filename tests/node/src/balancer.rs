use std::{
    process::Command,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use cluster::Api;
use serde_json::json;

/// How often Services are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Gives every Service of type LoadBalancer an address of the node's network, as a cloud would.
#[derive(Debug)]
pub(crate) struct Balancer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Balancer {
    /// Starts it on a thread in the network of the caller.
    pub(crate) fn start(api: Api) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut next = 10..=250_u8;
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                // What cannot be done now is done at the next look.
                for service in waiting(&api) {
                    if let Some(last) = next.next() {
                        give(&api, &service, last);
                    }
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// `namespace/name` of the Services without an address.
fn waiting(api: &Api) -> Vec<String> {
    let services = api.try_list("v1/Service ").unwrap_or_default();
    let wanting = services.iter().filter(|service| {
        service["spec"]["type"] == "LoadBalancer"
            && service["metadata"]["deletionTimestamp"].is_null()
            && service["status"]["loadBalancer"]["ingress"].as_array().is_none_or(Vec::is_empty)
    });
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    wanting
        .map(|service| {
            let metadata = &service["metadata"];
            format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"]))
        })
        .collect()
}

fn give(api: &Api, service: &str, last: u8) {
    let address = format!("10.99.0.{last}");
    let added = Command::new("ip").args(["address", "add", &format!("{address}/32"), "dev", "lan"]).status();
    if added.is_ok_and(|status| status.success()) {
        // The Service may be gone by now; then the address is wasted.
        let status = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
        drop(api.try_patch_status(&format!("v1/Service {service}"), &status));
    }
}
