//! The normal form of a configuration, and the reasons for refusing one.

use std::collections::BTreeSet;

use crate::{
    Admin, Auth, AuthKind, Cluster, ClusterKind, Config, DEFAULT_HEALTHCHECK_ENDPOINT, DEFAULT_LOGLEVEL,
    DEFAULT_NAME, DEFAULT_PORT, DEFAULT_REALM, Error, Listener, Protocol,
};

/// What is expected of the certificates of TLS and DTLS listeners.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificates {
    Loadable,
    Whatever,
}

pub(crate) fn normalise(config: Config, certificates: Certificates) -> Result<Config, Error> {
    let listener = |one| listener(one, certificates);
    let normal = Config {
        version: config.version,
        admin: admin(config.admin).map_err(|error| error.within("admin"))?,
        auth: auth(config.auth).map_err(|error| error.within("auth"))?,
        listeners: each("listeners", config.listeners, listener)?,
        clusters: each("clusters", config.clusters, cluster)?,
    };
    unique("listener", "listeners", normal.listeners.iter().map(|listener| listener.name.as_str()))?;
    unique("cluster", "clusters", normal.clusters.iter().map(|cluster| cluster.name.as_str()))?;
    Ok(normal)
}

fn admin(mut admin: Admin) -> Result<Admin, Error> {
    default(&mut admin.name, DEFAULT_NAME);
    default(&mut admin.loglevel, DEFAULT_LOGLEVEL);
    admin.healthcheck_endpoint.get_or_insert_with(|| DEFAULT_HEALTHCHECK_ENDPOINT.to_owned());
    admin.offload_interfaces.sort_unstable();
    if !is_open(&admin.metrics_endpoint) {
        admin.metrics()?;
    }
    if !admin.healthcheck_endpoint.as_deref().is_some_and(is_open) {
        admin.healthcheck()?;
    }
    Ok(admin)
}

fn auth(mut auth: Auth) -> Result<Auth, Error> {
    default(&mut auth.realm, DEFAULT_REALM);
    let credentials = &mut auth.credentials;
    match auth.kind {
        AuthKind::Static => {
            credentials.secret = None;
            credentials.previous_secret = None;
            if credentials.previous_password.is_none() {
                credentials.previous_username = None;
            }
            if credentials.username.is_none() || credentials.password.is_none() {
                return Err(Error::new(
                    "credentials",
                    "empty username or password in static auth config",
                    "give both username and password",
                ));
            }
        }
        AuthKind::Ephemeral => {
            credentials.username = None;
            credentials.password = None;
            credentials.previous_username = None;
            credentials.previous_password = None;
            if credentials.secret.is_none() {
                return Err(Error::new(
                    "credentials",
                    "no secret found in ephemeral auth config",
                    "give a secret",
                ));
            }
        }
        AuthKind::None => auth.credentials = crate::Credentials::default(),
    }
    Ok(auth)
}

fn listener(mut listener: Listener, certificates: Certificates) -> Result<Listener, Error> {
    if listener.name.is_empty() {
        return Err(missing_name("listener"));
    }
    default(&mut listener.address, "0.0.0.0");
    listener.relay_port_range()?;
    if listener.mobility && listener.protocol == Protocol::Dtls {
        return Err(Error::new(
            "mobility",
            "clients of a DTLS listener cannot move",
            "leave it out, or give them a UDP, TCP or TLS listener",
        ));
    }
    listener.additional_address = listener.additional_address.filter(|address| !address.is_empty());
    if ![&listener.address].into_iter().chain(&listener.additional_address).any(|address| is_open(address)) {
        listener.additional_relay_address()?;
    }
    listener.alternate()?;
    if listener.port == 0 {
        listener.port = DEFAULT_PORT;
    }
    listener.bind_address = listener.bind_address.filter(|address| !address.is_empty());
    listener.nat_discovery = listener.nat_discovery.filter(|address| !address.is_empty());
    let texts = [Some(&listener.address), listener.nat_discovery.as_ref(), listener.bind_address.as_ref()];
    if !texts.into_iter().flatten().any(|text| is_open(text)) {
        listener.discovery()?;
    }
    if !listener.bind_address.as_deref().is_some_and(is_open) {
        listener.bind_ip()?;
    }
    if listener.protocol.is_secure() && certificates == Certificates::Loadable {
        if !is_open(&listener.cert) {
            listener.certificate_pem()?;
        }
        if !is_open(listener.key.expose()) {
            listener.private_key_pem()?;
        }
    }
    listener.routes.sort_unstable();
    Ok(listener)
}

fn cluster(mut cluster: Cluster) -> Result<Cluster, Error> {
    if cluster.name.is_empty() {
        return Err(missing_name("cluster"));
    }
    if cluster.kind == ClusterKind::Static {
        cluster.endpoints = cluster.parsed_endpoints()?.iter().map(ToString::to_string).collect();
    }
    cluster.endpoints.sort_unstable();
    Ok(cluster)
}

fn each<T>(field: &str, items: Vec<T>, one: impl Fn(T) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let normal = |(at, item)| one(item).map_err(|error| error.within(&format!("{field}[{at}]")));
    items.into_iter().enumerate().map(normal).collect()
}

fn unique<'n>(kind: &str, field: &str, names: impl Iterator<Item = &'n str>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for (at, name) in names.enumerate() {
        if !seen.insert(name) {
            return Err(Error::new(
                format!("{field}[{at}].name"),
                format!("duplicate {kind} name: {name:?}"),
                "give each its own name",
            ));
        }
    }
    Ok(())
}

/// Whether the text names a variable, so that its value is not known yet.
fn is_open(text: &str) -> bool {
    text.contains('$')
}

fn missing_name(kind: &str) -> Error {
    Error::new("name", format!("missing name in {kind} configuration"), "give it a name")
}

fn default(text: &mut String, value: &str) {
    if text.is_empty() {
        value.clone_into(text);
    }
}
