//! The state of the dataplane as a document, in the shape that `stunnerctl status` reads. Without secrets.

use std::collections::BTreeMap;

use config::{Auth, Cluster, Config, Listener};
use serde::Serialize;

use crate::refusal::RecentRefusal;

/// What stands in place of a secret.
const SECRET: &str = "<SECRET>";

/// The state of one gateway, or of all gateways of the process.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    version: &'static str,
    admin: AdminStatus,
    auth: AuthStatus,
    listeners: Vec<WithStats<Listener>>,
    clusters: Vec<WithStats<Cluster>>,
    #[serde(flatten)]
    lately: Lately,
    /// Allocations in use, of the whole process.
    #[serde(rename = "allocationCount")]
    pub allocation_count: usize,
    /// What the process is up to.
    pub status: Phase,
}

/// What somebody has to look at; left out where there is nothing.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Lately {
    /// What is wrong with the configurations that were given last: what was good before is in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<String>,
    /// The last refusals, the latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) refusals: Vec<RecentRefusal>,
}

/// What the process is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// A configuration is in force.
    #[serde(rename = "READY")]
    Ready,
    /// No configuration has been in force yet.
    #[serde(rename = "NOT-READY")]
    NotReady,
    /// Waiting for the last allocations to end.
    #[serde(rename = "TERMINATING")]
    Terminating,
}

#[derive(Debug, Clone, Default, Serialize)]
struct AdminStatus {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    loglevel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    metrics_endpoint: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    healthcheck_endpoint: String,
    quota: String,
    offload: String,
    licensing_info: &'static str,
}

#[derive(Debug, Clone, Default, Serialize)]
struct AuthStatus {
    #[serde(rename = "type")]
    kind: String,
    realm: String,
    credentials: BTreeMap<&'static str, &'static str>,
}

/// A configured object and what the kernel offload counted for it, which is nothing yet.
#[derive(Debug, Clone, Serialize)]
struct WithStats<T> {
    #[serde(flatten)]
    object: T,
    stats: Stats,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Stats {
    rx: Counted,
    tx: Counted,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Counted {
    pkts: u64,
    bytes: u64,
    timestamp: u64,
}

impl Status {
    /// The state of these gateways. One is shown as it is. Of several, the names are listed, what differs
    /// between them shows as the first one's, and all their listeners and clusters are there.
    pub(crate) fn of<'c>(
        configs: impl IntoIterator<Item = &'c Config>,
        lately: Lately,
        allocations: usize,
        phase: Phase,
    ) -> Self {
        let configs: Vec<_> = configs.into_iter().collect();
        let first = configs.first();
        let mut admin = first.map(|config| AdminStatus::of(config)).unwrap_or_default();
        admin.name = configs.iter().map(|config| config.admin.name.as_str()).collect::<Vec<_>>().join(",");
        let mut listeners: Vec<_> = configs.iter().flat_map(|config| &config.listeners).map(masked).collect();
        listeners.sort_by(|a, b| a.object.name.cmp(&b.object.name));
        let clusters = configs.iter().flat_map(|config| &config.clusters);
        let mut clusters: Vec<_> =
            clusters.map(|cluster| WithStats { object: cluster.clone(), stats: Stats::default() }).collect();
        clusters.sort_by(|a, b| a.object.name.cmp(&b.object.name));
        Self {
            version: "v1",
            admin,
            auth: first.map(|config| AuthStatus::of(&config.auth)).unwrap_or_default(),
            listeners,
            clusters,
            lately,
            allocation_count: allocations,
            status: phase,
        }
    }
}

impl AdminStatus {
    fn of(config: &Config) -> Self {
        let admin = &config.admin;
        let interfaces = match &admin.offload_interfaces[..] {
            [] => "all".to_owned(),
            some => some.join(","),
        };
        Self {
            name: admin.name.clone(),
            loglevel: admin.loglevel.clone(),
            metrics_endpoint: admin.metrics_endpoint.clone(),
            healthcheck_endpoint: admin.healthcheck_endpoint.clone().unwrap_or_default(),
            quota: admin.user_quota.to_string(),
            offload: format!("{}[{interfaces}]", admin.offload_engine),
            licensing_info: "{tier:free}",
        }
    }
}

impl AuthStatus {
    fn of(auth: &Auth) -> Self {
        let credentials = &auth.credentials;
        let present = [
            ("password", &credentials.password),
            ("previous_password", &credentials.previous_password),
            ("previous_secret", &credentials.previous_secret),
            ("previous_username", &credentials.previous_username),
            ("secret", &credentials.secret),
            ("username", &credentials.username),
        ];
        Self {
            kind: auth.kind.to_string(),
            realm: auth.realm.clone(),
            credentials: present
                .into_iter()
                .filter(|(_, value)| value.is_some())
                .map(|(key, _)| (key, SECRET))
                .collect(),
        }
    }
}

fn masked(listener: &Listener) -> WithStats<Listener> {
    let mut object = listener.clone();
    if !object.cert.is_empty() {
        SECRET.clone_into(&mut object.cert);
    }
    if !object.key.is_empty() {
        object.key = SECRET.into();
    }
    WithStats { object, stats: Stats::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let mut config = Config::parse(text, &config::env::empty).unwrap();
        let tls = &mut config.listeners[1];
        tls.protocol = config::Protocol::Tls;
        tls.cert = "CERTIFICATE".to_owned();
        tls.key = "PRIVATEKEY".into();
        config
    }

    const TEXT: &str = r#"
version: v1
admin: { name: media/gw, healthcheck_endpoint: "http://:8086" }
auth: { type: static, realm: turn.example.org, credentials: { username: USERNAME, password: PASSWORD } }
listeners:
- { name: media/gw/udp, protocol: TURN-UDP, address: 10.0.0.7, port: 3478, routes: [media/sfu] }
- { name: media/gw/tls, address: 10.0.0.7, port: 3479 }
clusters: [ { name: media/sfu, endpoints: [10.8.0.0/16] } ]
"#;

    #[test]
    fn one_gateway_has_the_documented_shape() {
        let status = Status::of([&config(TEXT)], Lately::default(), 3, Phase::Ready);
        let stats =
            r#""stats":{"rx":{"pkts":0,"bytes":0,"timestamp":0},"tx":{"pkts":0,"bytes":0,"timestamp":0}}"#;
        let expected = [
            r#"{"version":"v1","#,
            r#""admin":{"name":"media/gw","loglevel":"all:INFO","healthcheck_endpoint":"http://:8086","quota":"0","offload":"None[all]","licensing_info":"{tier:free}"},"#,
            r#""auth":{"type":"static","realm":"turn.example.org","credentials":{"password":"<SECRET>","username":"<SECRET>"}},"#,
            r#""listeners":[{"name":"media/gw/tls","protocol":"TURN-TLS","address":"10.0.0.7","port":3479,"cert":"<SECRET>","key":"<SECRET>","#,
            stats,
            r#"},{"name":"media/gw/udp","protocol":"TURN-UDP","address":"10.0.0.7","port":3478,"routes":["media/sfu"],"#,
            stats,
            r#"}],"clusters":[{"name":"media/sfu","type":"STATIC","protocol":"UDP","endpoints":["10.8.0.0/16"],"#,
            stats,
            r#"}],"allocationCount":3,"status":"READY"}"#,
        ];
        assert_eq!(serde_json::to_string(&status).unwrap(), expected.concat());
    }

    #[test]
    fn secrets_and_tls_private_keys_on_an_open_status_port() {
        let status = Status::of([&config(TEXT)], Lately::default(), 0, Phase::Terminating);
        for text in [serde_json::to_string(&status).unwrap(), format!("{status:?}")] {
            for secret in ["USERNAME", "PASSWORD", "CERTIFICATE", "PRIVATEKEY"] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }

    #[test]
    fn several_gateways_show_all_their_objects_sorted() {
        let other = config(&TEXT.replace("media/gw", "audio/gw"));
        let status = Status::of([&config(TEXT), &other], Lately::default(), 0, Phase::NotReady);
        let names: Vec<_> = status.listeners.iter().map(|listener| listener.object.name.as_str()).collect();
        assert_eq!(names, ["audio/gw/tls", "audio/gw/udp", "media/gw/tls", "media/gw/udp"]);
        assert_eq!(status.admin.name, "media/gw,audio/gw");
    }
}
