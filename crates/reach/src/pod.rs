use std::{io, sync::Arc};

use cds::{
    Access,
    access::{Connection, Dial},
    origin::Server,
};
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional, duplex};

use crate::{Cluster, Error};

/// Bytes of a connection that are on their way between two tasks.
const BUFFER: usize = 64 << 10;

/// A pod, and the way to its ports.
#[derive(Clone)]
pub struct Pod {
    cluster: Cluster,
    namespace: String,
    name: String,
    is_ready: bool,
}

impl Pod {
    pub(crate) fn new(cluster: Cluster, pod: &core::Pod) -> Self {
        Self {
            cluster,
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            is_ready: is_ready(pod),
        }
    }

    /// `namespace/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it runs, says that it is ready, and is not about to end.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// A connection to a port of the pod, through the API server.
    ///
    /// # Errors
    /// The API server refuses, or does not answer. That nobody listens there shows later, as an error of reading.
    pub async fn connect(&self, port: u16) -> Result<Connection, Error> {
        let api: Api<core::Pod> = Api::namespaced(self.cluster.client(), &self.namespace);
        let what = format!("forward to port {port} of pod {}", self.id());
        let mut forwarder = self.cluster.ask(&what, api.portforward(&self.name, &[port])).await?;
        let (stream, error) = (forwarder.take_stream(port), forwarder.take_error(port));
        let (ours, theirs) = duplex(BUFFER);
        let id = self.id();
        tokio::spawn(async move {
            // The forwarder lives as long as its stream is used.
            if let (Some(stream), Some(error)) = (stream, error)
                && let Err(problem) = carry(stream, theirs, error).await
            {
                tracing::warn!(target: "k8s-discover", pod = id, port, problem, "the pod cannot be reached");
            }
            drop(forwarder);
        });
        Ok(Box::new(ours))
    }

    /// A server at a port of the pod, by the pod's name, and the way there.
    pub fn server(&self, port: u16) -> (Server, Access) {
        let server = Server { tls: false, host: self.name.clone(), port, path: String::new() };
        (server, Access { dial: Some(self.dial(port)), ..Access::default() })
    }

    /// Connections to a port of the pod, as [`Self::connect`] opens one.
    fn dial(&self, port: u16) -> Dial {
        let pod = self.clone();
        Arc::new(move || {
            let pod = pod.clone();
            Box::pin(async move { pod.connect(port).await.map_err(io::Error::other) })
        })
    }
}

/// Carries bytes until one side is done, or the pod's node says that it cannot go on.
async fn carry(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut ours: impl AsyncRead + AsyncWrite + Unpin,
    error: impl Future<Output = Option<String>>,
) -> Result<(), String> {
    tokio::select! {
        biased;
        Some(problem) = error => Err(problem),
        _ = copy_bidirectional(&mut stream, &mut ours) => Ok(()),
    }
}

fn is_ready(pod: &core::Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && status.is_some_and(|status| status.phase.as_deref() == Some("Running"))
        && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
