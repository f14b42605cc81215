//! From the configurations of all gateways to the answer for one client.

use std::collections::BTreeSet;

use config::{Config, Listener, NODE_ADDRESS_PLACEHOLDER, Protocol, Secret};
use serde::Serialize;

use crate::Configs;
use crate::credentials::{Credentials, Unusable, mint};
use crate::host::Host;
use crate::query::{Endpoint, IceTransportPolicy, Query, Service};
use crate::refusal::Refusal;

/// Address of a listener that nobody knows an address of.
const UNKNOWN_ADDRESS: &str = "0.0.0.0";

/// How listeners are presented to clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advertising {
    /// Host to write into every URI instead of the listener's own; the client's wish still comes first.
    pub public_addr: Option<Host>,
    /// Leave out listeners without a public address, instead of naming their private one.
    pub require_public_addr: bool,
}

/// Answer to [`Endpoint::TurnAuth`]: credentials in the shape of the TURN REST API draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TurnAuth {
    /// Password; empty if the gateway wants none.
    pub password: Secret,
    /// Seconds for which ephemeral credentials are valid.
    pub ttl: u32,
    /// Where the server can be reached, best transport first.
    pub uris: Vec<String>,
    /// Username; empty if the gateway wants none.
    pub username: Secret,
}

/// Answer to [`Endpoint::IceAuth`]: an `RTCConfiguration` for browsers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IceConfig {
    /// One server per gateway.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates the browser may use.
    pub ice_transport_policy: IceTransportPolicy,
}

/// One gateway as browsers see it (`RTCIceServer`).
///
/// A gateway without authentication has `stun:` URLs and no credentials at all: browsers throw on TURN URLs with
/// empty ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IceServer {
    /// Password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Secret>,
    /// Where the gateway can be reached: one URL per listener, in the order of the configuration.
    pub urls: Vec<String>,
    /// Username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Secret>,
}

/// Credentials of one gateway: the one with the best transport that the client's filter leaves.
///
/// `now` is in seconds since 1970.
///
/// # Errors
/// See [`ice_config`].
pub fn turn_auth(configs: &Configs, query: &Query, how: &Advertising, now: u64) -> Result<TurnAuth, Refusal> {
    let mut servers = servers(Endpoint::TurnAuth, configs, query, how, now)?;
    // Who asks for TURN is not helped by a plain STUN server, unless there is nothing else.
    servers.sort_by_key(|server| server.credential.is_none());
    let best = servers.swap_remove(0);
    Ok(TurnAuth {
        password: best.credential.unwrap_or_default(),
        ttl: query.ttl,
        uris: best.urls,
        username: best.username.unwrap_or_default(),
    })
}

/// All gateways that the client's filter leaves, best transport first (UDP, TCP, DTLS, TLS), then by name.
///
/// `now` is in seconds since 1970.
///
/// # Errors
/// In this order: no gateway is known; the service asked for is not TURN; no usable listener is left.
pub fn ice_config(
    configs: &Configs,
    query: &Query,
    how: &Advertising,
    now: u64,
) -> Result<IceConfig, Refusal> {
    let ice_servers = servers(Endpoint::IceAuth, configs, query, how, now)?;
    Ok(IceConfig { ice_servers, ice_transport_policy: query.policy })
}

/// Never empty.
fn servers(
    endpoint: Endpoint,
    configs: &Configs,
    query: &Query,
    how: &Advertising,
    now: u64,
) -> Result<Vec<IceServer>, Refusal> {
    if configs.is_empty() {
        return Err(Refusal::NoConfiguration);
    }
    if query.service == Service::Unknown {
        return Err(Refusal::WrongService(endpoint));
    }
    let mut ranked: Vec<_> = configs.values().filter_map(|c| server(c, query, how, now)).collect();
    // The sort is stable and the map in the order of names.
    ranked.sort_by_key(|(transport, _)| *transport);
    if ranked.is_empty() {
        return Err(Refusal::NoListener(endpoint));
    }
    Ok(ranked.into_iter().map(|(_, server)| server).collect())
}

/// What the filter leaves of one gateway, with the rank of its best transport.
fn server(config: &Config, query: &Query, how: &Advertising, now: u64) -> Option<(u8, IceServer)> {
    let wanted = |listener: &&Listener| name_parts(listener).is_some_and(|parts| query.filter.admits(parts));
    let reachable = |listener| Some((rank(listener), advertised(listener, query.public_addr.as_ref(), how)?));
    let listeners: Vec<(u8, Listener)> =
        config.listeners.iter().filter(wanted).filter_map(reachable).collect();
    let best = listeners.iter().map(|(rank, _)| *rank).min()?;
    let expires = now.saturating_add(query.ttl.into());
    let credentials = mint(&config.auth, &query.user, expires).ok()?;
    let uri = if credentials.is_some() { Listener::uri } else { stun_uri };
    let mut urls = Vec::with_capacity(listeners.len());
    for url in listeners.iter().map(|(_, listener)| uri(listener)) {
        // Plain STUN on UDP and on TCP reads the same.
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    let (username, credential) = match credentials {
        Some(Credentials { username, password }) => (Some(username), Some(password)),
        None => (None, None),
    };
    Some((best, IceServer { credential, urls, username }))
}

/// Namespace, gateway and listener, of which a listener's name consists if the operator made it.
fn name_parts(listener: &Listener) -> Option<[&str; 3]> {
    let mut parts = listener.name.split('/');
    let name = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(name)
}

fn rank(listener: &Listener) -> u8 {
    match listener.protocol {
        Protocol::Udp => 0,
        Protocol::Tcp => 1,
        Protocol::Dtls => 2,
        Protocol::Tls => 3,
    }
}

/// The listener with the addresses that clients are told; what makes a URI of them is [`Listener::uri`].
fn advertised(listener: &Listener, wish: Option<&Host>, how: &Advertising) -> Option<Listener> {
    let public = match wish.or(how.public_addr.as_ref()) {
        Some(host) => host.as_str(),
        None => dialable(&listener.public_address),
    };
    if how.require_public_addr && is_unknown(public) {
        return None;
    }
    Some(Listener {
        protocol: listener.protocol,
        public_address: public.to_owned(),
        public_port: listener.public_port,
        address: dialable(&listener.address).to_owned(),
        port: listener.port,
        ..Listener::default()
    })
}

/// Text that is no host, such as a variable nobody filled in, would make browsers refuse the whole configuration.
fn dialable(address: &str) -> &str {
    if address.is_empty() || address.parse::<Host>().is_ok() { address } else { UNKNOWN_ADDRESS }
}

fn is_unknown(address: &str) -> bool {
    matches!(address, "" | UNKNOWN_ADDRESS | "::" | NODE_ADDRESS_PLACEHOLDER)
}

/// STUN URI (RFC 7064), which names no transport.
fn stun_uri(listener: &Listener) -> String {
    let turn = listener.uri();
    let address = turn.split('?').next().unwrap_or(&turn);
    address.replacen("turn", "stun", 1)
}

/// Something about the configurations that an administrator should know, whatever clients ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Finding {
    /// No client will ever be told of this listener.
    #[error("listener {listener:?} of {config} is skipped: its name is not namespace/gateway/listener")]
    Name {
        /// The gateway's configuration.
        config: String,
        /// Its listener.
        listener: String,
    },
    /// Clients are told a private address, or nothing.
    #[error("listener {listener} has no public address yet: clients are told {told}")]
    NoPublicAddress {
        /// The listener.
        listener: String,
        /// What they are told instead.
        told: String,
    },
    /// No client will ever be told of this gateway.
    #[error("{config} is skipped: {why}")]
    Credentials {
        /// The gateway's configuration.
        config: String,
        /// What is wrong with it.
        why: Unusable,
    },
}

/// What is wrong with the configurations.
pub fn findings(configs: &Configs, how: &Advertising) -> BTreeSet<Finding> {
    let mut findings = BTreeSet::new();
    for (name, config) in configs {
        if let Err(why) = mint(&config.auth, "", 0) {
            findings.insert(Finding::Credentials { config: name.clone(), why });
        }
        for listener in &config.listeners {
            if name_parts(listener).is_none() {
                findings.insert(Finding::Name { config: name.clone(), listener: listener.name.clone() });
            } else if how.public_addr.is_none() && is_unknown(dialable(&listener.public_address)) {
                let told = advertised(listener, None, how).map_or_else(|| "nothing".to_owned(), |l| l.uri());
                findings.insert(Finding::NoPublicAddress { listener: listener.name.clone(), told });
            }
        }
    }
    findings
}
