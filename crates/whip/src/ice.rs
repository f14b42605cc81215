//! ICE servers as applications are told them.

use std::fmt;

use client::{Login, Server, Transport};
use config::uri::TurnUri;
use config::{Protocol, Secret};
use serde::{Deserialize, Serialize};

/// One entry of an `iceServers` array. Both `urls` and the older `url` are read, each as one text or a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// Its URIs.
    #[serde(default, alias = "url", alias = "URLs", alias = "Urls", deserialize_with = "one_or_many")]
    pub urls: Vec<String>,
    /// Who asks.
    #[serde(default, alias = "Username")]
    pub username: String,
    /// The password.
    #[serde(default, alias = "Credential")]
    pub credential: Hidden,
    /// Always `password`.
    #[serde(
        default,
        rename = "credentialType",
        alias = "CredentialType",
        skip_serializing_if = "String::is_empty"
    )]
    pub credential_type: String,
}

/// A text that does not print itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<SECRET>")
    }
}

/// Which candidates are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// All.
    #[default]
    All,
    /// Those on TURN servers only.
    Relay,
}

/// The answer of an authentication service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct IceConfig {
    /// The servers.
    #[serde(rename = "iceServers", alias = "ICEServers", default)]
    pub servers: Vec<IceServer>,
    /// Which candidates to use.
    #[serde(rename = "iceTransportPolicy", alias = "ICETransportPolicy", default)]
    pub policy: Policy,
}

impl IceServer {
    /// What of it goes over this transport, `udp` or `tcp`; `None` if nothing does.
    pub fn over(&self, transport: &str) -> Option<Self> {
        let wanted = format!("transport={transport}");
        let urls: Vec<_> =
            self.urls.iter().filter(|url| url.to_lowercase().ends_with(&wanted)).cloned().collect();
        (!urls.is_empty()).then(|| Self { urls, ..self.clone() })
    }

    /// The TURN servers among its URIs, and how to log in there. What is no TURN URI is left out.
    pub fn turn_servers(&self) -> impl Iterator<Item = (Server, Login)> + '_ {
        let uris = self.urls.iter().filter(|uri| {
            let scheme = uri.split(':').next().unwrap_or_default();
            scheme.eq_ignore_ascii_case("turn") || scheme.eq_ignore_ascii_case("turns")
        });
        uris.filter_map(|uri| uri.parse::<TurnUri>().ok()).map(|uri| {
            let transport = match uri.protocol {
                Protocol::Udp => Transport::Udp,
                Protocol::Tcp => Transport::Tcp,
                Protocol::Tls => Transport::Tls,
                Protocol::Dtls => Transport::Dtls,
            };
            let login = Login::fixed(&self.username, &self.credential.0);
            (Server::new(transport, uri.host, uri.port), login)
        })
    }
}

impl From<Secret> for Hidden {
    fn from(secret: Secret) -> Self {
        Self(secret.expose().to_owned())
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<OneOrMany>::deserialize(deserializer)? {
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
        None => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        let texts = [
            r#"{"iceServers":[{"urls":["turn:192.0.2.1:3478?transport=udp"],"username":"u","credential":"p"}]}"#,
            r#"{"iceServers":[{"urls":"TURN:192.0.2.1?transport=UDP","username":"u","credential":"p"}]}"#,
            r#"{"ICEServers":[{"url":"turn:192.0.2.1:3478","username":"u","credential":"p"}]}"#,
        ];
        for text in texts {
            let config: IceConfig = serde_json::from_str(text).unwrap();
            let found: Vec<_> = config.servers[0].turn_servers().collect();
            let expected = Server::new(Transport::Udp, "192.0.2.1", 3478);
            assert_eq!(found, [(expected, Login::fixed("u", "p"))], "{text}");
        }
        let stun = IceServer { urls: vec!["stun:192.0.2.1".into()], ..IceServer::default() };
        assert_eq!(stun.turn_servers().count(), 0);
        let tls = IceServer { urls: vec!["turns:a.example?transport=tcp".into()], ..IceServer::default() };
        assert_eq!(tls.turn_servers().next().unwrap().0, Server::new(Transport::Tls, "a.example", 443));
    }

    #[test]
    fn passwords_do_not_print_themselves() {
        let server = IceServer { credential: Hidden("s3cret".into()), ..IceServer::default() };
        assert!(!format!("{server:?}").contains("s3cret"));
    }
}
