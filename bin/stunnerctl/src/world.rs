//! Where the servers are that are asked: in a cluster, or on this machine.

use std::sync::Arc;

use anyhow::{Context, bail};
use cds::{Access, Options, Origin, origin::Server};
use reach::Cluster;

use crate::cli::Global;

/// The cluster that the flags and the environment name, if they name one.
pub(crate) struct World {
    cluster: Result<Option<Cluster>, reach::Error>,
    namespace: String,
}

impl World {
    /// A cluster that cannot be used is an error only of those who need it.
    pub(crate) async fn of(global: &Global) -> Self {
        let cluster = Cluster::find(&global.kubernetes).await;
        let namespace = match (&global.kubernetes.namespace, &cluster) {
            (Some(given), _) => given.clone(),
            (None, Ok(Some(cluster))) => cluster.namespace().to_owned(),
            (None, _) => "default".to_owned(),
        };
        Self { cluster, namespace }
    }

    /// The namespace of the flags, or that of the kubeconfig's context, or `default`.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn cluster(&self) -> anyhow::Result<Option<&Cluster>> {
        match &self.cluster {
            Ok(cluster) => Ok(cluster.as_ref()),
            Err(error) => bail!("{error}"),
        }
    }

    /// The discovery server named by flags or the environment; else that of the cluster; else that of the cluster this
    /// runs in; else that of this machine. Configurations are shown as they are, with their variables.
    pub(crate) async fn discovery(
        &self,
        flags: &flags::Discovery,
        node: Option<&str>,
    ) -> anyhow::Result<(Origin, Options)> {
        let direct = Access::new(flags.token_file(), flags.authority(), flags.tls_server_name());
        let (origin, access) = match flags.given() {
            Some(given) => (given.parse().context("--cds-server-address")?, direct),
            None => match self.cluster().context(NAME_SERVER)? {
                Some(cluster) => {
                    let found = reach::discovery(cluster, flags).await?;
                    (found.origin, found.access)
                }
                None => {
                    let port = flags.cds_server_port;
                    let here = |flags::NoServer| format!("http://127.0.0.1:{port}");
                    (flags.origin().unwrap_or_else(here).parse()?, direct)
                }
            },
        };
        if !matches!(origin, Origin::Http(_)) {
            bail!("--cds-server-address: not the address of a server");
        }
        let environment = Arc::new(|name: &str| Some(format!("${name}")));
        Ok((origin, Options { node: node.map(str::to_owned), environment, access, ..Options::default() }))
    }
}

/// What to do without a usable cluster.
const NAME_SERVER: &str =
    "name the discovery server with --cds-server-address, or correct the way to the cluster";

/// The server of a flag.
pub(crate) fn server(flag: &'static str, address: &str, default_port: u16) -> anyhow::Result<Server> {
    match flags::url(address, default_port).parse().context(flag)? {
        Origin::Http(server) => Ok(server),
        Origin::File(_) | Origin::Kubernetes => bail!("{flag} {address}: write HOST:PORT"),
    }
}
