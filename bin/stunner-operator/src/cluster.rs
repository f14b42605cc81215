//! The way to the API server.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// How long a connection may be silent. Watches end sooner than that, so nobody is at the other end of one that is.
const SILENCE: Duration = Duration::from_secs(45);

/// A client with the given kubeconfig, or with what the environment says: `KUBECONFIG`, the service account of the pod,
/// `~/.kube/config`.
pub(crate) async fn client(kubeconfig: Option<&Path>) -> Result<Client> {
    let mut config = match kubeconfig {
        Some(file) => {
            let kubeconfig = Kubeconfig::read_from(file)
                .with_context(|| format!("--kubeconfig: cannot read {}", file.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("--kubeconfig: {} names no cluster to use", file.display()))?
        }
        None => Config::infer().await.context("no cluster found; use --kubeconfig or KUBECONFIG")?,
    };
    config.read_timeout = Some(SILENCE);
    tracing::info!(target: "operator", server = %config.cluster_url, "API server");
    Client::try_from(config).context("cannot make a client of the API server")
}
