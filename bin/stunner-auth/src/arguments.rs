//! The command line.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context as _, Result, bail};
use auth::host::Host;
use auth::ice::Advertising;
use auth::query::DEFAULT_MAX_TTL;
use auth::server::Settings;
use auth::split::GroupBy;
use auth::watch::options as watch_options;
use cds::{Access, Origin};
use clap::Parser;
use tokio::sync::watch;

/// All interfaces, of either family.
pub(crate) const UNSPECIFIED: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Hands out ICE servers and TURN credentials over HTTP.
///
/// Whoever can reach the service gets credentials: keep it inside the cluster.
#[derive(Debug, Parser)]
#[command(version = flags::VERSION.as_str(), max_term_width = 110)]
pub(crate) struct Arguments {
    /// Port to listen on
    #[arg(short, long, default_value_t = 8088)]
    pub(crate) port: u16,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = UNSPECIFIED)]
    pub(crate) bind: IpAddr,

    /// IP address or host name to write into every URI, instead of the gateways' own
    #[arg(
        long,
        env = "STUNNER_PUBLIC_ADDR",
        value_name = "HOST",
        default_value = "",
        hide_default_value = true
    )]
    #[arg(value_parser = public_addr)]
    public_addr: PublicAddr,

    /// Leave out listeners that have no public address (yet), instead of naming their private one
    #[arg(long)]
    require_public_addr: bool,

    /// Most seconds that a client may ask credentials for
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_MAX_TTL, value_parser = clap::value_parser!(u32).range(1..))]
    max_ttl: u32,

    /// Where gateways come from: cds, or the file of a mounted legacy ConfigMap
    #[arg(long, value_name = "cds|FILE", default_value = "cds")]
    config_source: String,

    /// What becomes one ICE server: a configuration (config) or a gateway (gateway), of which a legacy ConfigMap holds
    /// several [default: config for cds, gateway for a file]
    #[arg(long, value_name = "WHAT")]
    group_by: Option<GroupBy>,

    #[command(flatten)]
    discovery: flags::Discovery,

    #[command(flatten)]
    pub(crate) log: flags::Log,

    #[command(flatten)]
    kubernetes: flags::Kubernetes,
}

impl Arguments {
    /// Where gateways come from.
    pub(crate) fn origin(&self) -> Result<Origin> {
        let origin = match self.config_source.as_str() {
            "cds" => self.discovery.origin()?,
            "configmap" => bail!(
                "ConfigMaps are not read through the Kubernetes API: mount it and name the file, \
                 as in --config-source=/etc/stunnerd/stunnerd.conf"
            ),
            file => file.to_owned(),
        };
        origin
            .parse()
            .with_context(|| format!("cannot follow {origin:?} (--cds-server-address, --config-source)"))
    }

    /// How configurations are followed.
    pub(crate) fn options(&self) -> cds::Options {
        let flags = &self.discovery;
        let access = Access::new(flags.token_file(), flags.authority(), flags.tls_server_name());
        cds::Options { access, ..watch_options() }
    }

    pub(crate) fn group_by(&self, origin: &Origin) -> GroupBy {
        self.group_by.unwrap_or_else(|| GroupBy::usual(origin))
    }

    pub(crate) fn settings(&self, synced: watch::Receiver<bool>) -> Settings {
        let public_addr = self.public_addr.0.clone();
        let advertising = Advertising { public_addr, require_public_addr: self.require_public_addr };
        Settings { advertising, max_ttl: self.max_ttl, synced: Some(synced), ..Settings::default() }
    }
}

/// An empty variable is a variable nobody set.
#[derive(Debug, Clone)]
struct PublicAddr(Option<Host>);

fn public_addr(text: &str) -> Result<PublicAddr, String> {
    let named = |error| format!("{error} (it comes from --public-addr or STUNNER_PUBLIC_ADDR)");
    let host = (!text.is_empty()).then(|| text.parse().map_err(named)).transpose()?;
    Ok(PublicAddr(host))
}

#[test]
fn the_help_fits_80_columns() {
    assert_eq!(flags::too_wide::<Arguments>(), [""; 0]);
}
