//! The objects.

use std::fmt::Write as _;

use gateway::names;

use super::options::{Conversion, Names};

impl Conversion {
    /// The objects, and before them what they do not carry.
    pub(crate) fn to_yaml(&self, names: &Names) -> String {
        let parts = [
            self.heading(names),
            class(names),
            self.config(names),
            self.gateway(names),
            route(names),
            self.service(names),
        ];
        parts.concat()
    }

    fn heading(&self, Names { name, namespace }: &Names) -> String {
        let mut text = "# Made from a configuration of coturn.\n".to_owned();
        if self.is_secure() {
            let [certificate, key] = [&self.certificate, &self.key];
            let file = |file: &Option<String>| file.clone().unwrap_or_else(|| "FILE".to_owned());
            text += &format!(
                "#\n# Its certificate belongs into a Secret:\n#   kubectl create secret tls {name}-tls -n \
                 {namespace} --cert={} --key={}\n",
                file(certificate),
                file(key),
            );
        }
        // coturn writes PUBLIC/PRIVATE for hosts behind a NAT.
        let public = self.external_ip.as_deref().and_then(|both| both.split('/').next());
        let flags = [("--address", public), ("--relay-address", self.relay_ip.as_deref())];
        for (flag, address) in flags.into_iter().filter_map(|(flag, address)| Some((flag, address?))) {
            text += &format!("#\n# On one machine it wants to be run by: stunner up {flag} {address}\n");
        }
        if !self.left_out().is_empty() {
            text += "#\n# These options have no place in it:\n";
            for left in self.left_out() {
                text += &format!("#   line {left}\n");
            }
        }
        text
    }

    fn is_secure(&self) -> bool {
        self.certificate.is_some() && (self.has_tls || self.has_dtls)
    }

    fn config(&self, Names { name, namespace }: &Names) -> String {
        let mut text = head("stunner.l7mp.io/v1", "GatewayConfig", name, Some(namespace));
        let mut field = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name}: {}", quoted(value));
        };
        if let Some(realm) = &self.realm {
            field("realm", realm);
        }
        match (&self.secret, &self.user) {
            (Some(secret), _) => {
                field("authType", "ephemeral");
                field("sharedSecret", secret);
            }
            (None, Some((user, password))) => {
                field("authType", "static");
                field("userName", user);
                field("password", password);
            }
            (None, None) => field("authType", "none"),
        }
        if let Some(level) = self.log_level {
            field("logLevel", level);
        }
        if let Some(quota) = self.user_quota {
            let _ = writeln!(text, "  userQuota: {quota}");
        }
        text
    }

    fn gateway(&self, Names { name, namespace }: &Names) -> String {
        let mut text = head("gateway.networking.k8s.io/v1", "Gateway", name, Some(namespace));
        let _ = writeln!(text, "  gatewayClassName: {}\n  listeners:", quoted(name));
        let secure = self.certificate.is_some();
        let listeners = [
            (self.has_udp, "udp", self.port, "TURN-UDP", false),
            (self.has_tcp, "tcp", self.port, "TURN-TCP", false),
            (self.has_tls && secure, "tls", self.tls_port, "TURN-TLS", true),
            (self.has_dtls && secure, "dtls", self.tls_port, "TURN-DTLS", true),
        ];
        for (_, listener, port, protocol, tls) in listeners.into_iter().filter(|listener| listener.0) {
            let _ = writeln!(text, "    - name: {listener}\n      port: {port}\n      protocol: {protocol}");
            if tls {
                let secret = quoted(&format!("{name}-tls"));
                let _ = writeln!(
                    text,
                    "      tls:\n        mode: Terminate\n        certificateRefs:\n          - kind: Secret\n            \
                     name: {secret}"
                );
            }
        }
        text
    }

    fn service(&self, Names { name, namespace }: &Names) -> String {
        let mut text = head("stunner.l7mp.io/v1", "StaticService", name, Some(namespace));
        text += "  # Whom clients may reach. Narrow it down to your media servers.\n  prefixes:\n";
        for prefix in self.prefixes() {
            let _ = writeln!(text, "    - {}", quoted(&prefix));
        }
        text
    }
}

fn class(Names { name, namespace }: &Names) -> String {
    let mut text = head("gateway.networking.k8s.io/v1", "GatewayClass", name, None);
    let (name, namespace) = (quoted(name), quoted(namespace));
    let _ = writeln!(
        text,
        "  controllerName: {}\n  parametersRef:\n    group: stunner.l7mp.io\n    kind: GatewayConfig\n    name: \
         {name}\n    namespace: {namespace}",
        names::CONTROLLER
    );
    text
}

fn route(Names { name, namespace }: &Names) -> String {
    let mut text = head("stunner.l7mp.io/v1", "UDPRoute", name, Some(namespace));
    let name = quoted(name);
    let _ = writeln!(
        text,
        "  parentRefs:\n    - name: {name}\n  rules:\n    - backendRefs:\n        - group: stunner.l7mp.io\n          \
         kind: StaticService\n          name: {name}"
    );
    text
}

fn head(version: &str, kind: &str, name: &str, namespace: Option<&str>) -> String {
    let mut text = format!("---\napiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {}\n", quoted(name));
    if let Some(namespace) = namespace {
        let _ = writeln!(text, "  namespace: {}", quoted(namespace));
    }
    text + "spec:\n"
}

/// A text as YAML, quoted where it could be taken for something else.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
