//! Why: which listener, route and cluster allow or refuse a peer, and why clients were refused lately. The same tables
//! answer that the workers ask, so the answer is what happens.

use std::net::{IpAddr, SocketAddr};

use config::Config;
use serde::Serialize;
use turn::addr::{ClusterId, PeerAddr};
use turn::server::{Grant, PeerProtocol, RejectReason};

use crate::admin::{in_full, parameter};
use crate::refusal::RecentRefusal;
use crate::view::View;

/// What somebody wants to know.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    /// May clients reach this peer? Port 0 is any port.
    pub(crate) peer: Option<SocketAddr>,
    /// Why were clients at this address refused?
    pub(crate) client: Option<IpAddr>,
    /// Addresses of clients as they are.
    pub(crate) in_full: bool,
}

impl Question {
    /// Reads `peer=ADDRESS[:PORT]&client=ADDRESS&addresses=full`.
    pub(crate) fn read(query: &str) -> Result<Self, String> {
        let text = |name| parameter(query, name).map(|text| text.replace("%3A", ":").replace("%3a", ":"));
        let peer = match text("peer") {
            None => None,
            Some(text) => {
                Some(peer(&text).ok_or_else(|| format!("peer: not ADDRESS or ADDRESS:PORT: {text:?}"))?)
            }
        };
        let client = match text("client") {
            None => None,
            Some(text) => {
                let ip: Result<IpAddr, _> = text.parse();
                Some(ip.map_err(|_| format!("client: not an address: {text:?}"))?.to_canonical())
            }
        };
        Ok(Self { peer, client, in_full: in_full(query) })
    }
}

fn peer(text: &str) -> Option<SocketAddr> {
    let ip = || text.parse().ok().map(|ip| SocketAddr::new(ip, 0));
    text.parse().ok().or_else(ip)
}

/// The answer.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    listeners: Vec<OfListener>,
    refusals: Vec<RecentRefusal>,
}

/// What one listener does with a peer.
#[derive(Debug, Serialize)]
struct OfListener {
    listener: String,
    allowed: bool,
    routes: Vec<OfRoute>,
    explanation: String,
}

/// What one route does with it.
#[derive(Debug, Serialize)]
struct OfRoute {
    cluster: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    /// The ports that may be reached, as `FIRST-LAST`.
    ports: Vec<String>,
    explanation: &'static str,
}

impl Explanation {
    pub(crate) fn of<'c>(
        question: &Question,
        gateways: impl Iterator<Item = (&'c String, &'c Config)>,
        view: Option<&View>,
        refusals: Vec<RecentRefusal>,
    ) -> Self {
        let mut listeners = Vec::new();
        if let (Some(peer), Some(view)) = (question.peer, view) {
            for (gateway, config) in gateways {
                listeners.extend(
                    config
                        .listeners
                        .iter()
                        .map(|listener| of_listener((gateway, config), listener, view, peer)),
                );
            }
        }
        Self { peer: question.peer.map(|peer| peer.to_string()), listeners, refusals }
    }
}

fn of_listener(
    (gateway, config): (&str, &Config),
    listener: &config::Listener,
    view: &View,
    peer: SocketAddr,
) -> OfListener {
    let is_it =
        |known: &&crate::view::ListenerView| *known.name == *listener.name && *known.gateway == *gateway;
    let Some(known) = view.listeners.iter().flatten().find(is_it) else {
        let explanation = "the listener does not run; the log says why".to_owned();
        return OfListener {
            listener: listener.name.clone(),
            allowed: false,
            routes: Vec::new(),
            explanation,
        };
    };
    let canonical = PeerAddr::new(peer);
    let grant = canonical.map_or_else(|_| Grant::refused(), |peer| known.routes.grant(peer.ip()));
    let routes: Vec<OfRoute> = listener
        .routes
        .iter()
        .map(|name| of_route((gateway, config), name, &grant, view, peer.port()))
        .collect();
    let allowed = routes.iter().any(|route| route.explanation == ALLOWED);
    let explanation = match (allowed, canonical.is_ok(), grant.is_refused()) {
        (true, ..) => "clients may reach the peer".to_owned(),
        (_, false, _) => RejectReason::PeerForbidden.explanation().to_owned(),
        (_, _, false) => "a cluster contains the address, but not this port".to_owned(),
        _ if listener.routes.is_empty() => "the listener has no routes, so it reaches nobody".to_owned(),
        _ => RejectReason::PeerRefused.explanation().to_owned(),
    };
    OfListener { listener: listener.name.clone(), allowed, routes, explanation }
}

const ALLOWED: &str = "contains the peer";

fn of_route(
    (gateway, config): (&str, &Config),
    name: &str,
    grant: &Grant,
    view: &View,
    port: u16,
) -> OfRoute {
    let cluster = config.clusters.iter().find(|cluster| cluster.name == *name);
    let is_this = |id: ClusterId| {
        view.cluster_name(id).is_some_and(|(of, cluster)| **of == *gateway && **cluster == *name)
    };
    let flows: Vec<_> = grant.flows().filter(|flow| is_this(flow.cluster)).collect();
    let explanation = match cluster {
        None => "there is no cluster of this name",
        Some(_) if flows.iter().any(|flow| port == 0 || flow.ports.contains(port)) => ALLOWED,
        Some(_) if !flows.is_empty() => "contains the address, but not this port",
        Some(cluster) if cluster.endpoints.is_empty() => "the cluster has no endpoints",
        Some(cluster) if cluster.kind == config::ClusterKind::StrictDns => {
            "none of the domains resolves to the address now"
        }
        Some(_) => {
            "no endpoint contains the address, or it is special and needs an endpoint inside its range"
        }
    };
    OfRoute {
        cluster: name.to_owned(),
        protocol: flows.first().map(|flow| match flow.protocol {
            PeerProtocol::Udp => "UDP",
            PeerProtocol::Tcp => "TCP",
        }),
        ports: flows.iter().map(|flow| format!("{}-{}", flow.ports.first, flow.ports.last)).collect(),
        explanation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_and_mistakes_named() {
        let question = Question::read("peer=10.0.0.1%3A80&client=::ffff:192.0.2.1&addresses=full").unwrap();
        assert_eq!(question.peer, Some("10.0.0.1:80".parse().unwrap()));
        assert_eq!(question.client, Some("192.0.2.1".parse().unwrap()));
        assert!(question.in_full);
        assert_eq!(Question::read("").unwrap(), Question::default());
        let any_port = Question::read("peer=2001:db8::1").unwrap().peer;
        assert_eq!(any_port, Some("[2001:db8::1]:0".parse().unwrap()));
        assert!(Question::read("peer=x").unwrap_err().starts_with("peer"));
        assert!(Question::read("client=x").unwrap_err().starts_with("client"));
    }
}
