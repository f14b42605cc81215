use std::net::Ipv6Addr;
use std::path::Path;

use clap::Args;
use thiserror::Error;

/// Port of config discovery, if nothing else is said.
const DEFAULT_PORT: u16 = 13478;

/// Name of the Service that the operator's installation puts before config discovery.
const SERVICE: &str = "stunner-config-discovery";

/// Where a pod reads which namespace it is in.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Where the server of config discovery is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Config discovery")]
pub struct Discovery {
    /// Host of config discovery; without it, a program in a pod uses the Service stunner-config-discovery
    #[arg(long, env = "CDS_SERVER_ADDR", value_name = "HOST", default_value = "", hide_default_value = true)]
    pub cds_server_address: String,

    /// Namespace to look for config discovery in, instead of the pod's own
    #[arg(
        long,
        env = "CDS_SERVER_NAMESPACE",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub cds_server_namespace: String,

    /// Port of config discovery
    #[arg(long, env = "CDS_SERVER_PORT", value_name = "PORT", default_value = "13478", value_parser = port)]
    pub cds_server_port: u16,

    /// File with the token that config discovery wants to see
    #[arg(long, env = "CDS_TOKEN_FILE", value_name = "FILE", default_value = "", hide_default_value = true)]
    pub cds_token_file: String,

    /// Certificate authority of config discovery, as a file or its text; asks over TLS
    #[arg(
        long,
        env = "CDS_CA",
        value_name = "FILE|PEM",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    pub cds_ca: String,

    /// Name to expect in the certificate of config discovery, if it is not its host
    #[arg(
        long,
        env = "CDS_TLS_SERVER_NAME",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true,
        hide_short_help = true
    )]
    pub cds_tls_server_name: String,
}

/// Nothing says where config discovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "Could not find CDS server: this is not a Kubernetes pod, so give its host with --cds-server-address (or CDS_SERVER_ADDR)"
)]
pub struct NoServer;

impl Discovery {
    /// The server as a config origin, for instance `http://10.0.0.1:13478`.
    ///
    /// # Errors
    /// No address is given and there is no cluster whose Service could be used.
    pub fn origin(&self) -> Result<String, NoServer> {
        let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty());
        self.origin_from(in_pod, Path::new(OWN_NAMESPACE))
    }

    /// The server as a config origin, if its address is given.
    pub fn given(&self) -> Option<String> {
        let address = self.cds_server_address.trim();
        (!address.is_empty()).then(|| self.url(address))
    }

    /// The file with the token, if there is one.
    pub fn token_file(&self) -> Option<&Path> {
        Some(Path::new(self.cds_token_file.trim())).filter(|path| !path.as_os_str().is_empty())
    }

    /// The certificate authority, as a file or its text, if there is one.
    pub fn authority(&self) -> Option<&str> {
        Some(self.cds_ca.trim()).filter(|authority| !authority.is_empty())
    }

    /// The name to expect in the certificate, if it is not the server's host.
    pub fn tls_server_name(&self) -> Option<&str> {
        Some(self.cds_tls_server_name.trim()).filter(|name| !name.is_empty())
    }

    /// Who names an authority wants TLS.
    fn url(&self, address: &str) -> String {
        let plain = url(address, self.cds_server_port);
        match plain.strip_prefix("http://") {
            Some(rest) if self.authority().is_some() && !address.contains("://") => format!("https://{rest}"),
            _ => plain,
        }
    }

    pub(crate) fn origin_from(&self, in_pod: bool, own_namespace: &Path) -> Result<String, NoServer> {
        if let Some(origin) = self.given() {
            return Ok(origin);
        }
        let namespace = match self.cds_server_namespace.trim() {
            "" => std::fs::read_to_string(own_namespace).unwrap_or_default(),
            given => given.to_owned(),
        };
        match (in_pod, namespace.trim()) {
            (true, "") => Ok(self.url(SERVICE)),
            (true, namespace) => Ok(self.url(&format!("{SERVICE}.{namespace}.svc"))),
            (false, _) => Err(NoServer),
        }
    }
}

/// `http://HOST:PORT` for what people give as the address of a server: a host, with or without a port, or a whole URL.
pub fn url(address: &str, default_port: u16) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.parse::<Ipv6Addr>().is_ok() {
        format!("{scheme}://[{authority}]:{default_port}")
    } else if authority.contains(':') && !authority.ends_with(']') {
        format!("{scheme}://{authority}")
    } else {
        format!("{scheme}://{authority}:{default_port}")
    }
}

/// An empty variable is a variable nobody set.
fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Err(_) if text.trim().is_empty() => Ok(DEFAULT_PORT),
        Ok(0) | Err(_) => {
            Err("not a port from 1 to 65535 (it comes from --cds-server-port or CDS_SERVER_PORT)".into())
        }
        Ok(port) => Ok(port),
    }
}
