//! The command line of `one2one`, which is also that of the `npm start` it replaces in older manifests.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use http::Uri;

use crate::auth_service::Filter;
use crate::settings::{Listen, Settings};

/// One-to-one video calls between two browsers, relayed by the gateway. A demonstration: visitors are anonymous, so
/// do not leave it open to the world for longer than you look at it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub struct Cli {
    /// Address of the application: the port is listened on, the host is printed and put into the certificate
    #[arg(long = "as_uri", alias = "as-uri", default_value = "https://localhost:8443/", value_name = "URL")]
    as_uri: Uri,

    /// Listen on this address only, instead of on all interfaces
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,

    /// Folder with server.crt and server.key; a certificate is made if there are none
    #[arg(long, default_value = "keys", value_name = "FOLDER")]
    keys: PathBuf,

    /// Host of the authentication service
    #[arg(long, env = "STUNNER_AUTH_ADDR", default_value = DEFAULT_AUTH, hide_env_values = true)]
    auth_addr: String,

    /// Port of the authentication service
    #[arg(long, env = "STUNNER_AUTH_PORT", default_value = "8088", hide_env_values = true)]
    auth_port: String,

    /// Offer only gateways of this namespace
    #[arg(long, env = "STUNNER_NAMESPACE", hide_env_values = true)]
    namespace: Option<String>,

    /// Offer only the gateway of this name (needs a namespace)
    #[arg(long, env = "STUNNER_GATEWAY", hide_env_values = true)]
    gateway: Option<String>,

    /// Offer only the listener of this name (needs a gateway)
    #[arg(long, env = "STUNNER_LISTENER", hide_env_values = true)]
    listener: Option<String>,

    /// Another origin whose pages may use this server, such as `https://calls.example.com` (may be repeated)
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,

    /// Life of the TURN credentials, in seconds
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(60..))]
    ttl: u32,

    /// What to log: scope:LEVEL[,scope:LEVEL...], with the levels DISABLE, ERROR, WARN, INFO, DEBUG and TRACE
    #[arg(long, short, default_value = "all:INFO", value_name = "SPEC")]
    pub log: String,

    /// How log lines look: text or json
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub log_format: logs::Format,
}

/// A setting that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The authentication service's port is no port.
    #[error("STUNNER_AUTH_PORT: '{0}' is not a port number")]
    AuthPort(String),
    /// `--as_uri` has no host.
    #[error("--as_uri: '{0}' is not a URL such as https://localhost:8443/")]
    Address(Uri),
}

impl Cli {
    /// Reads the arguments of the process, or ends it with a usage text.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Self {
        Self::parse_from(without_npm(args))
    }

    /// The settings these arguments stand for.
    ///
    /// # Errors
    /// [`SettingError`] names the argument and what is wrong with it.
    pub fn settings(self) -> Result<Settings, SettingError> {
        let Some(host) = self.as_uri.host() else { return Err(SettingError::Address(self.as_uri)) };
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = self.as_uri.port_u16().unwrap_or(match self.as_uri.scheme_str() {
            Some("https") => 443,
            Some(_) | None => 8443,
        });
        let listen = match self.bind {
            Some(address) => Listen::Address((address, port).into()),
            None => Listen::Everywhere(port),
        };
        let auth_host = or_default(self.auth_addr, DEFAULT_AUTH);
        let auth_port = or_default(self.auth_port, "8088");
        let Ok(auth_port) = auth_port.parse() else { return Err(SettingError::AuthPort(auth_port)) };
        let mut settings = Settings::new(listen, auth_host, auth_port);
        settings.host = host;
        settings.keys = Some(self.keys);
        settings.origins = self.origins;
        settings.auth.filter =
            Filter { namespace: self.namespace, gateway: self.gateway, listener: self.listener };
        settings.auth.ttl = Duration::from_secs(self.ttl.into());
        settings.timing.credential_ttl = settings.auth.ttl;
        Ok(settings)
    }
}

/// Older manifests run `npm start -- --as_uri=...`: drops `start` and `--`.
fn without_npm(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<_> = args.into_iter().collect();
    if args.get(1).is_some_and(|arg| arg == "start") {
        args.remove(1);
        if args.get(1).is_some_and(|arg| arg == "--") {
            args.remove(1);
        }
    }
    args
}

/// An environment variable that is set and empty counts as absent.
fn or_default(value: String, default: &str) -> String {
    if value.is_empty() { default.to_owned() } else { value }
}

const DEFAULT_AUTH: &str = "stunner-auth.stunner-system.svc.cluster.local";

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> Settings {
        let args = args.iter().map(OsString::from);
        Cli::try_parse_from(without_npm(args)).unwrap().settings().unwrap()
    }

    #[test]
    fn t4_the_npm_form_of_the_tutorial_is_understood() {
        for args in [
            &["npm", "start", "--", "--as_uri=https://0.0.0.0:8443"][..],
            &["one2one", "start", "--", "--as_uri=https://0.0.0.0:8443"],
            &["one2one", "start", "--as_uri", "https://0.0.0.0:8443"],
            &["one2one", "--as-uri=https://0.0.0.0:8443"],
            &["one2one"],
            &["npm", "start"],
        ] {
            assert!(matches!(settings(args).listen, Listen::Everywhere(8443)), "{args:?}");
        }
    }

    #[test]
    fn s5_1_host_and_port_of_the_address() {
        let got = settings(&["one2one", "--as_uri=https://[2001:db8::1]:9000/x", "--bind=127.0.0.1"]);
        assert_eq!(got.host, "2001:db8::1");
        assert!(matches!(got.listen, Listen::Address(address) if address.to_string() == "127.0.0.1:9000"));
        assert!(matches!(
            settings(&["one2one", "--as_uri=https://call.example"]).listen,
            Listen::Everywhere(443)
        ));
    }

    #[test]
    fn s5_1_defaults_and_filters() {
        let got = settings(&["one2one"]);
        assert_eq!((got.auth.host.as_str(), got.auth.port), (DEFAULT_AUTH, 8088));
        assert!(got.auth.filter.namespace.is_none());
        let got = settings(&["one2one", "--auth-addr=", "--auth-port=", "--namespace=stunner", "--ttl=90"]);
        assert_eq!((got.auth.host.as_str(), got.auth.port), (DEFAULT_AUTH, 8088));
        assert_eq!(got.auth.filter.namespace.as_deref(), Some("stunner"));
        assert_eq!(got.auth.ttl, Duration::from_secs(90));
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        let error = |args: [&str; 2]| Cli::try_parse_from(args).unwrap().settings().unwrap_err().to_string();
        assert!(error(["one2one", "--auth-port=http"]).contains("STUNNER_AUTH_PORT"));
        assert!(error(["one2one", "--as_uri=/x"]).contains("--as_uri"));
    }
}
