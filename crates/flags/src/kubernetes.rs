use std::path::PathBuf;

use clap::Args;
use config::Secret;

/// How to reach the Kubernetes API server: the flags of kubectl under the names of kubectl.
///
/// They are accepted before and after a subcommand.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct Kubernetes {
    /// Kubeconfig file
    #[arg(global = true, long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig to use
    #[arg(global = true, long, value_name = "NAME")]
    pub context: Option<String>,

    /// Cluster of the kubeconfig to use
    #[arg(global = true, long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// User of the kubeconfig to use
    #[arg(global = true, long, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,

    /// Namespace to look in
    #[arg(global = true, short, long, value_name = "NAME")]
    pub namespace: Option<String>,

    /// Address and port of the API server
    #[arg(global = true, short, long, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,

    /// Bearer token for the API server
    #[arg(global = true, long, hide_short_help = true)]
    pub token: Option<Secret>,

    /// User to impersonate
    #[arg(global = true, long = "as", value_name = "NAME", hide_short_help = true)]
    pub impersonate: Option<String>,

    /// Group to impersonate; may be repeated
    #[arg(global = true, long = "as-group", value_name = "NAME", hide_short_help = true)]
    pub impersonate_groups: Vec<String>,

    /// User id to impersonate
    #[arg(global = true, long = "as-uid", value_name = "UID", hide_short_help = true)]
    pub impersonate_uid: Option<String>,

    /// Extra attribute to impersonate; may be repeated
    #[arg(global = true, long = "as-user-extra", value_name = "KEY=VALUE", hide_short_help = true)]
    pub impersonate_extra: Vec<String>,

    /// Certificate authority of the API server
    #[arg(global = true, long, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<PathBuf>,

    /// Client certificate for the API server
    #[arg(global = true, long, value_name = "FILE", hide_short_help = true)]
    pub client_certificate: Option<PathBuf>,

    /// Key of the client certificate
    #[arg(global = true, long, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<PathBuf>,

    /// Name to expect in the API server's certificate
    #[arg(global = true, long, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,

    /// Do not check the API server's certificate
    #[arg(global = true, long, hide_short_help = true)]
    pub insecure_skip_tls_verify: bool,

    /// Time for one request, such as 5s or 2m; 0 waits for ever
    #[arg(
        global = true,
        long,
        value_name = "DURATION",
        default_value = "0",
        hide_default_value = true,
        hide_short_help = true
    )]
    pub request_timeout: String,

    /// Accepted for compatibility with kubectl
    #[arg(global = true, long, value_name = "DIR", hide = true, hide_short_help = true)]
    pub cache_dir: Option<PathBuf>,

    /// Do not ask the API server for compressed responses
    #[arg(global = true, long, hide_short_help = true)]
    pub disable_compression: bool,
}
