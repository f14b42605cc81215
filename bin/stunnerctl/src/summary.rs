//! Configurations for people to read.

use std::io::{self, Write};

use config::{
    AuthKind, Cluster, Config, Credentials, Listener, NODE_ADDRESS_PLACEHOLDER, RELAY_ADDRESS_VARIABLE,
    Secret,
};

/// A few lines, with credentials.
pub(crate) fn write(out: &mut impl Write, config: &Config) -> io::Result<()> {
    writeln!(out, "Gateway: {} (loglevel: {:?})", config.admin.name, config.admin.loglevel)?;
    let Credentials { username, password, secret, .. } = &config.auth.credentials;
    match config.auth.kind {
        AuthKind::Static => writeln!(
            out,
            "Authentication type: static, username/password: {}/{}",
            exposed(username.as_ref()),
            exposed(password.as_ref())
        )?,
        AuthKind::Ephemeral => {
            writeln!(out, "Authentication type: ephemeral, shared-secret: {}", exposed(secret.as_ref()))?;
        }
        AuthKind::None => writeln!(out, "Authentication type: none")?,
    }
    writeln!(out, "Listeners:")?;
    for listener in &config.listeners {
        let Listener { name, protocol, address, port, public_address, public_port, routes, .. } = listener;
        let endpoints: Vec<&str> = endpoints(config, routes).collect();
        writeln!(out, "  - Name: {name}")?;
        writeln!(out, "    Protocol: {protocol}")?;
        writeln!(out, "    Relay address:port: {}", address_and_port(address, *port))?;
        writeln!(out, "    Public address:port: {}", address_and_port(public_address, *public_port))?;
        writeln!(out, "    Routes: [{}]", routes.join(", "))?;
        writeln!(out, "    Endpoints: [{}]", endpoints.join(", "))?;
    }
    Ok(())
}

/// One line, without credentials.
pub(crate) fn line(config: &Config) -> String {
    let listeners: Vec<String> = config.listeners.iter().map(listener).collect();
    let clusters: Vec<String> = config.clusters.iter().map(cluster).collect();
    format!(
        "{{version=\"v1\",{},{},listeners=[{}],clusters=[{}]}}",
        admin(config),
        auth(config),
        listeners.join(","),
        clusters.join(",")
    )
}

fn admin(config: &Config) -> String {
    let admin = &config.admin;
    let mut members = vec![format!("name={:?}", admin.name), format!("logLevel={:?}", admin.loglevel)];
    if !admin.metrics_endpoint.is_empty() {
        members.push(format!("metrics={:?}", admin.metrics_endpoint));
    }
    if let Some(endpoint) = &admin.healthcheck_endpoint {
        members.push(format!("health-check={endpoint:?}"));
    }
    let interfaces = if admin.offload_interfaces.is_empty() {
        "all".to_owned()
    } else {
        admin.offload_interfaces.join(",")
    };
    members.push(format!("quota={}", admin.user_quota));
    members.push(format!("offload={}[{interfaces}]", admin.offload_engine));
    format!("admin:{{{}}}", members.join(","))
}

fn auth(config: &Config) -> String {
    let Credentials { username, password, secret, .. } = &config.auth.credentials;
    let realm = &config.auth.realm;
    match config.auth.kind {
        AuthKind::Static => format!(
            "static-auth:{{realm={realm:?},username=\"{}\",password=\"{}\"}}",
            hidden(username.as_ref()),
            hidden(password.as_ref())
        ),
        AuthKind::Ephemeral => {
            format!("ephemeral-auth:{{realm={realm:?},secret=\"{}\"}}", hidden(secret.as_ref()))
        }
        AuthKind::None => format!("none-auth:{{realm={realm:?}}}"),
    }
}

fn listener(listener: &Listener) -> String {
    let or_dash = |text: String, is_there: bool| if is_there { text } else { "-".to_owned() };
    format!(
        "{:?}:{{turn://{}:{}?transport={},public={}:{},cert/key={}/{},routes=[{}]}}",
        listener.name,
        listener.address,
        listener.port,
        listener.protocol,
        or_dash(listener.public_address.clone(), !listener.public_address.is_empty()),
        or_dash(listener.public_port.to_string(), listener.public_port != 0),
        or_dash("<SECRET>".to_owned(), !listener.cert.is_empty()),
        or_dash(listener.key.to_string(), !listener.key.is_empty()),
        listener.routes.join(",")
    )
}

fn cluster(cluster: &Cluster) -> String {
    let Cluster { name, kind, protocol, endpoints } = cluster;
    format!("{name:?}:{{type=\"{kind}\",protocol=\"{protocol}\",endpoints=[{}]}}", endpoints.join(","))
}

fn endpoints<'c>(config: &'c Config, routes: &'c [String]) -> impl Iterator<Item = &'c str> {
    let clusters =
        routes.iter().flat_map(|route| config.clusters.iter().filter(move |cluster| cluster.name == *route));
    clusters.flat_map(|cluster| cluster.endpoints.iter().map(String::as_str))
}

fn address_and_port(address: &str, port: u16) -> String {
    let address = match address {
        "" => "<none>".to_owned(),
        RELAY_ADDRESS_VARIABLE => "<private-pod-ip-addr>".to_owned(),
        NODE_ADDRESS_PLACEHOLDER => "<node-ip-addr>".to_owned(),
        six if six.contains(':') => format!("[{six}]"),
        other => other.to_owned(),
    };
    let port = if port == 0 { "<none>".to_owned() } else { port.to_string() };
    format!("{address}:{port}")
}

fn exposed(secret: Option<&Secret>) -> &str {
    secret.map(Secret::expose).unwrap_or_default()
}

fn hidden(secret: Option<&Secret>) -> String {
    match secret {
        None => "-".to_owned(),
        Some(secret) if secret.is_empty() => "<MISSING>".to_owned(),
        Some(secret) => secret.to_string(),
    }
}
