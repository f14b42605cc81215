//! Where the discovery server is, and how to ask it.

use std::{env, path::Path, sync::Arc};

use anyhow::{Context, bail};
use cds::{Options, Origin};

/// How to ask: configurations are shown as they are, with their variables.
pub(crate) fn options(node: Option<&str>) -> Options {
    Options {
        node: node.map(str::to_owned),
        environment: Arc::new(|name| Some(format!("${name}"))),
        ..Options::default()
    }
}

/// The server named by flags or the environment; without either that of the cluster this runs in, or the one of this
/// machine, as no other cluster is known.
pub(crate) fn origin(discovery: &flags::Discovery, cluster: &flags::Kubernetes) -> anyhow::Result<Origin> {
    let port = discovery.cds_server_port;
    if discovery.given().is_none()
        && let Some(source) = cluster_access(cluster)
    {
        bail!(
            "finding the discovery server through the Kubernetes API ({source}) is not available yet; \
             name it with --cds-server-address HOST:PORT, for instance after \
             kubectl port-forward -n stunner-system deployment/stunner-gateway-operator {port}"
        );
    }
    let origin = discovery.origin().unwrap_or_else(|flags::NoServer| format!("http://127.0.0.1:{port}"));
    match origin.parse().context("--cds-server-address")? {
        Origin::File(_) | Origin::Kubernetes => bail!("--cds-server-address: not the address of a server"),
        server @ Origin::Http(_) => Ok(server),
    }
}

/// What makes us believe that there is a cluster.
fn cluster_access(cluster: &flags::Kubernetes) -> Option<String> {
    let flags =
        [("--context", &cluster.context), ("--cluster", &cluster.cluster), ("--server", &cluster.server)];
    if let Some(file) = &cluster.kubeconfig {
        return Some(format!("--kubeconfig {}", file.display()));
    }
    if let Some((flag, value)) = flags.into_iter().find_map(|(flag, value)| Some((flag, value.as_ref()?))) {
        return Some(format!("{flag} {value}"));
    }
    if let Some(files) = variable("KUBECONFIG") {
        return Some(format!("KUBECONFIG={files}"));
    }
    let file = Path::new(&variable("HOME")?).join(".kube").join("config");
    file.is_file().then(|| file.display().to_string())
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
