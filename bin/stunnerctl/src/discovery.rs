//! Where the discovery server is, and how to ask it.

use std::{env, path::Path, sync::Arc};

use anyhow::{Context, bail};
use cds::{Options, Origin, wire};

use crate::cli::{Kubernetes, ServerArguments};

/// How to ask: configurations are shown as they are, with their variables.
pub(crate) fn options(node: Option<&str>) -> Options {
    Options {
        node: node.map(str::to_owned),
        environment: Arc::new(|name| Some(format!("${name}"))),
        ..Options::default()
    }
}

/// The server named by flags or the environment; without either the one of this machine, as no cluster is known.
pub(crate) fn origin(arguments: &ServerArguments, cluster: &Kubernetes) -> anyhow::Result<Origin> {
    let port = arguments
        .cds_server_port
        .or_else(|| variable("CDS_SERVER_PORT")?.parse().ok())
        .unwrap_or(wire::DEFAULT_PORT);
    if let Some(address) = arguments
        .cds_server_address
        .clone()
        .filter(|text| !text.is_empty())
        .or_else(|| variable("CDS_SERVER_ADDR"))
    {
        return parse(&address, port).with_context(|| format!("--cds-server-address {address:?}"));
    }
    if let Some(source) = cluster_access(cluster) {
        bail!(
            "finding the discovery server through the Kubernetes API ({source}) is not available yet; \
             name it with --cds-server-address HOST:PORT, for instance after \
             kubectl port-forward -n stunner-system deployment/stunner-gateway-operator {port}"
        );
    }
    parse("127.0.0.1", port)
}

fn parse(address: &str, default_port: u16) -> anyhow::Result<Origin> {
    let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let mut origin = url.parse()?;
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    match &mut origin {
        Origin::Http(server) => {
            let behind_host = authority.rsplit(']').next().unwrap_or_default();
            if !behind_host.contains(':') {
                server.port = default_port;
            }
        }
        Origin::File(_) | Origin::Kubernetes => bail!("not the address of a server"),
    }
    Ok(origin)
}

/// What makes us believe that there is a cluster.
fn cluster_access(cluster: &Kubernetes) -> Option<String> {
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
