//! From configurations to what has to be done: checked values, and the difference to what is running.
//! Nothing here touches a socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use config::diff::{Change, Diff, ListenerEffect};
use config::{Auth, AuthKind, Config, HttpEndpoint, Listener, Protocol, Secret};
use turn::addr::Transport;
use turn::credentials::{Authority, Realm};
use turn::server::Discovery;

use crate::apply::ApplyError;
use crate::endpoint::Bind;
use crate::security::Security;

#[cfg(test)]
mod tests;

/// A listener or cluster of one of the gateways.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) gateway: String,
    pub(crate) name: String,
}

/// What is to run.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) gateways: BTreeMap<String, Gateway>,
    pub(crate) listeners: BTreeMap<Key, WantedListener>,
    pub(crate) endpoints: BTreeMap<Bind, Roles>,
}

/// A configuration, normalised, and what was read out of it.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) authority: Authority,
}

/// A listener whose texts are values.
#[derive(Debug, Clone)]
pub(crate) struct WantedListener {
    pub(crate) transport: Transport,
    pub(crate) security: Security,
    /// Where its sockets listen.
    pub(crate) bind: SocketAddr,
    /// The relay address as configured, possibly unspecified.
    pub(crate) address: IpAddr,
    /// That of the other family, if there is one.
    pub(crate) additional: Option<IpAddr>,
    pub(crate) bind_ip: Option<IpAddr>,
    pub(crate) routes: Vec<String>,
    /// The lowest and the highest port of its relays.
    pub(crate) relay_ports: Option<(u16, u16)>,
    pub(crate) icmp_errors: bool,
    pub(crate) mobility: bool,
    pub(crate) discovery: Option<Discovery>,
    pub(crate) alternate: Option<SocketAddr>,
}

/// What an HTTP server of the process serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    /// The gateways whose health it shows.
    pub(crate) health: BTreeSet<String>,
    /// The paths that show metrics.
    pub(crate) metrics: BTreeSet<String>,
}

/// Gateways whose configuration makes no sense, and why.
pub(crate) type Refused = BTreeMap<String, String>;

impl Wanted {
    /// Checks everything that can be checked without touching anything. A gateway whose configuration makes no sense
    /// stays what it is in `running`, if it is there, and keeps no other one waiting.
    ///
    /// # Errors
    /// Two listeners want one port; or no gateway would change, since none of the configurations makes sense.
    pub(crate) fn check(
        configs: &BTreeMap<String, Config>,
        running: &Self,
    ) -> Result<(Self, Refused), ApplyError> {
        let mut wanted = Self::default();
        let mut refused = Refused::new();
        for (name, config) in configs {
            let Err(problem) = wanted.gateway(name, config.clone()) else { continue };
            let last_good = running.gateways.get(name).map(|gateway| gateway.config.clone());
            if last_good.is_some_and(|config| wanted.gateway(name, config).is_err()) {
                return Err(ApplyError::Invalid { gateway: name.clone(), problem });
            }
            refused.insert(name.clone(), problem);
        }
        let changes =
            refused.len() < configs.len() || running.gateways.keys().any(|name| !configs.contains_key(name));
        if let Some((gateway, problem)) = refused.first_key_value().filter(|_| !changes) {
            return Err(ApplyError::Invalid { gateway: gateway.clone(), problem: problem.clone() });
        }
        wanted.refuse_clashes()?;
        Ok((wanted, refused))
    }

    /// Adds a gateway, or nothing if its configuration makes no sense.
    fn gateway(&mut self, name: &str, config: Config) -> Result<(), String> {
        fn problem(error: impl std::error::Error) -> String {
            error.to_string()
        }
        let config = config.validate().map_err(problem)?;
        let authority = authority(&config).map_err(problem)?;
        let mut listeners = BTreeMap::new();
        for listener in &config.listeners {
            let key = Key { gateway: name.to_owned(), name: listener.name.clone() };
            let security = Security::of(listener).map_err(problem)?;
            listeners.insert(key, WantedListener::check(listener, security).map_err(problem)?);
        }
        let bind = |endpoint: &HttpEndpoint, field| Bind::of(endpoint).ok_or_else(|| unbindable(field));
        let health = config.admin.healthcheck().map_err(problem)?;
        let health = health.map(|endpoint| bind(&endpoint, "healthcheck_endpoint")).transpose()?;
        let metrics = config.admin.metrics().map_err(problem)?;
        let metrics =
            metrics.map(|endpoint| Ok::<_, String>((bind(&endpoint, "metrics_endpoint")?, endpoint.path)));
        let metrics = metrics.transpose()?;
        // From here on nothing fails.
        if let Some(bind) = health {
            self.endpoints.entry(bind).or_default().health.insert(name.to_owned());
        }
        if let Some((bind, path)) = metrics {
            self.endpoints.entry(bind).or_default().metrics.insert(path);
        }
        self.listeners.append(&mut listeners);
        self.gateways.insert(name.to_owned(), Gateway { config, authority });
        Ok(())
    }

    /// Two listeners of one transport on one port would split the clients between them in silence.
    fn refuse_clashes(&self) -> Result<(), ApplyError> {
        let listeners: Vec<_> = self.listeners.iter().collect();
        for (at, (key, listener)) in listeners.iter().enumerate() {
            if let Some((other, _)) = listeners[..at].iter().find(|(_, other)| listener.clashes_with(other)) {
                return Err(ApplyError::PortClash {
                    port: listener.bind.port(),
                    transport: socket_kind(listener.transport),
                    first: other.name.clone(),
                    second: key.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// Every domain some cluster lists.
    pub(crate) fn domains(&self) -> impl Iterator<Item = &str> {
        let clusters = self.gateways.values().flat_map(|gateway| &gateway.config.clusters);
        clusters.flat_map(|cluster| cluster.domains()).map(String::as_str)
    }
}

impl WantedListener {
    fn check(listener: &Listener, security: Security) -> Result<Self, config::Error> {
        let bind_ip = listener.bind_ip()?.filter(|ip| !ip.is_unspecified());
        Ok(Self {
            transport: transport(listener.protocol),
            security,
            bind: bind_ip.map_or_else(
                || net::addr::dual_stack(listener.port),
                |ip| SocketAddr::new(ip.to_canonical(), listener.port),
            ),
            address: listener.relay_address()?.to_canonical(),
            additional: listener.additional_relay_address()?,
            bind_ip,
            routes: listener.routes.clone(),
            relay_ports: listener.relay_port_range()?,
            icmp_errors: listener.icmp_errors,
            mobility: listener.mobility,
            discovery: listener.discovery()?.map(|(first, second)| Discovery { first, second }),
            alternate: listener.alternate()?,
        })
    }

    /// Whether both want one port, if on different addresses.
    pub(crate) fn shares_port_with(&self, other: &Self) -> bool {
        socket_kind(self.transport) == socket_kind(other.transport) && self.bind.port() == other.bind.port()
    }

    /// Where the listener's second socket listens, if it has one.
    pub(crate) fn second(&self) -> Option<SocketAddr> {
        self.discovery.map(|discovery| SocketAddr::new(self.bind.ip(), discovery.second.port()))
    }

    /// Whether this one's second port is one of the other's.
    fn second_clashes_with(&self, other: &Self) -> bool {
        let other_ports = [Some(other.bind), other.second()].into_iter().flatten().map(|addr| addr.port());
        let second = self.second().map(|second| second.port());
        socket_kind(other.transport) == "UDP" && other_ports.into_iter().any(|port| Some(port) == second)
    }

    fn clashes_with(&self, other: &Self) -> bool {
        if self.second_clashes_with(other) || other.second_clashes_with(self) {
            return true;
        }
        self.shares_port_with(other)
            && match (self.bind_ip, other.bind_ip) {
                (Some(one), Some(two)) => one == two,
                _ => true,
            }
    }
}

/// The kind of socket a transport needs.
fn socket_kind(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp | Transport::Dtls => "UDP",
        Transport::Tcp | Transport::Tls => "TCP",
    }
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Udp => Transport::Udp,
        Protocol::Tcp => Transport::Tcp,
        Protocol::Tls => Transport::Tls,
        Protocol::Dtls => Transport::Dtls,
    }
}

fn unbindable(field: &str) -> String {
    format!(
        "admin.{field}: the host is not an address of this machine; write http://ADDRESS:PORT or http://:PORT"
    )
}

fn authority(config: &Config) -> Result<Authority, turn::credentials::RealmTooLong> {
    let realm = Realm::new(&config.auth.realm)?;
    let credentials = &config.auth.credentials;
    let exposed = |secret: &Option<Secret>| {
        secret.as_ref().map_or_else(String::new, |secret| secret.expose().to_owned())
    };
    let authority = match config.auth.kind {
        AuthKind::Static => {
            Authority::fixed(realm, &exposed(&credentials.username), &exposed(&credentials.password))
        }
        AuthKind::Ephemeral => Authority::ephemeral(realm, &exposed(&credentials.secret)),
        AuthKind::None => Authority::nobody(realm),
    };
    let username = credentials.previous_username.as_ref().or(credentials.username.as_ref());
    Ok(match (&credentials.previous_password, &credentials.previous_secret) {
        (Some(password), _) => authority.or_fixed(username.map_or("", Secret::expose), password.expose()),
        (None, Some(secret)) => authority.or_ephemeral(secret.expose()),
        (None, None) => authority,
    })
}

/// What has to be done to get from one state to the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Listeners that need sockets: new ones and restarted ones.
    pub(crate) open: Vec<Key>,
    /// Listeners whose sockets close: those that are gone and restarted ones.
    pub(crate) close: Vec<Key>,
    /// HTTP servers to start.
    pub(crate) serve: Vec<Bind>,
    /// HTTP servers to stop.
    pub(crate) retire: Vec<Bind>,
    /// What users would call a restart, for the report.
    pub(crate) restarted: Vec<String>,
}

impl Plan {
    /// The difference.
    pub(crate) fn between(old: &Wanted, new: &Wanted) -> Self {
        let mut plan = Self::default();
        let mut restarting = BTreeSet::new();
        for (name, gateway) in &new.gateways {
            if let Some(before) = old.gateways.get(name) {
                plan.restarts(name, &before.config, &gateway.config, &mut restarting);
            }
        }
        for key in new.listeners.keys() {
            let runs = old.listeners.contains_key(key);
            if !runs || restarting.contains(key) {
                plan.open.push(key.clone());
            }
        }
        for key in old.listeners.keys() {
            if !new.listeners.contains_key(key) || restarting.contains(key) {
                plan.close.push(key.clone());
            }
        }
        plan.serve.extend(new.endpoints.keys().filter(|bind| !old.endpoints.contains_key(bind)));
        plan.retire.extend(old.endpoints.keys().filter(|bind| !new.endpoints.contains_key(bind)));
        plan
    }

    fn restarts(&mut self, gateway: &str, old: &Config, new: &Config, restarting: &mut BTreeSet<Key>) {
        // The realm is taken from the snapshot with every request, so another realm restarts nothing here.
        let auth = Auth { realm: new.auth.realm.clone(), ..old.auth.clone() };
        let old = Config { auth, ..old.clone() };
        let diff = Diff::between(&old, new);
        for change in &diff.listeners {
            if let Change::Changed { new, effect: ListenerEffect::Restart, .. } = change {
                restarting.insert(Key { gateway: gateway.to_owned(), name: new.name.clone() });
            }
        }
        for entry in diff.restarts() {
            if !self.restarted.contains(&entry) {
                self.restarted.push(entry);
            }
        }
    }
}
