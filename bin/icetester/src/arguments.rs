//! The command line.

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use whip::server::Settings;

/// Answers WebRTC offers over WHIP, and sends back what comes on their data channels.
///
/// POST an offer to the endpoint; GET and POST /config show and change what the tester uses.
#[derive(Debug, Parser)]
#[command(name = "icetester", version = flags::VERSION.as_str(), max_term_width = 100)]
pub(crate) struct Arguments {
    /// Address to listen on, as HOST:PORT or :PORT
    #[arg(short, long, value_name = "ADDRESS", default_value = ":8089", value_parser = address)]
    pub(crate) addr: SocketAddr,
    /// ICE servers for the tester's own candidates, as a JSON array
    #[arg(long, env = "ICE_SERVERS", value_name = "JSON", default_value = "", hide_env_values = true)]
    #[arg(hide_default_value = true)]
    ice_servers: String,
    /// Which of its own candidates the tester uses: all or relay
    #[arg(long, env = "ICE_TRANSPORT_POLICY", value_name = "POLICY", default_value = "all")]
    ice_transport_policy: String,
    /// Bearer token that offers have to carry
    #[arg(long, env = "BEARER_TOKEN", value_name = "TOKEN", default_value = "", hide_env_values = true)]
    #[arg(hide_default_value = true)]
    bearer_token: String,
    /// Where offers go
    #[arg(long, env = "WHIP_ENDPOINT", value_name = "PATH", default_value = "/whip")]
    whip_endpoint: String,
    #[command(flatten)]
    pub(crate) log: flags::Log,
}

impl Arguments {
    /// What the server is made with.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let endpoint = &self.whip_endpoint;
        if !endpoint.starts_with('/') {
            bail!("WHIP_ENDPOINT: {endpoint:?} does not start with a slash");
        }
        Settings::read(&self.ice_servers, &self.ice_transport_policy, &self.bearer_token, endpoint)
            .context("ICE_SERVERS, ICE_TRANSPORT_POLICY")
    }
}

/// `:PORT` is a port on all addresses.
fn address(text: &str) -> Result<SocketAddr, String> {
    match text.strip_prefix(':') {
        Some(port) => {
            let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
            Ok((Ipv6Addr::UNSPECIFIED, port).into())
        }
        None => text.parse().map_err(|_| "write HOST:PORT with an IP address, or :PORT".into()),
    }
}

#[test]
fn the_help_fits_80_columns() {
    assert_eq!(flags::too_wide::<Arguments>(), [""; 0]);
}
