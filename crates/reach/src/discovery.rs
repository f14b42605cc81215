use std::{io, sync::Arc};

use cds::{Access, Origin, access::Dial, origin::Server};

use crate::{Cluster, DISCOVERY, Error, Pod};

/// Config discovery of a cluster.
pub struct Found {
    /// The server, by the name that its certificate has if it speaks TLS.
    pub origin: Origin,
    /// The way there. It leads to whichever pod is ready when it is taken, so a watch outlives a rollout.
    pub access: Access,
}

/// Finds the server of config discovery in a cluster.
///
/// # Errors
/// There is none, or the API server refuses.
pub async fn discovery(cluster: &Cluster, flags: &flags::Discovery) -> Result<Found, Error> {
    let namespace = Some(flags.cds_server_namespace.trim().to_owned()).filter(|it| !it.is_empty());
    let pod = find(cluster, namespace.as_deref()).await?;
    let port = flags.cds_server_port;
    let host = format!("stunner-config-discovery.{}.svc", pod.namespace());
    let server = Server { tls: flags.authority().is_some(), host, port, path: String::new() };
    let cluster = cluster.clone();
    let dial: Dial = Arc::new(move || {
        let (cluster, namespace) = (cluster.clone(), namespace.clone());
        Box::pin(async move {
            let pod = find(&cluster, namespace.as_deref()).await.map_err(io::Error::other)?;
            pod.connect(port).await.map_err(io::Error::other)
        })
    });
    let access = Access::new(flags.token_file(), flags.authority(), flags.tls_server_name());
    Ok(Found { origin: Origin::Http(server), access: Access { dial: Some(dial), ..access } })
}

async fn find(cluster: &Cluster, namespace: Option<&str>) -> Result<Pod, Error> {
    let remedy = "is the operator installed? Name another namespace with --cds-server-namespace, or the server \
                  itself with --cds-server-address";
    cluster.pod("CDS server", DISCOVERY, namespace, remedy).await
}
