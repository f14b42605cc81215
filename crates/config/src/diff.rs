//! What a dataplane has to do to get from one configuration to another.
//!
//! A [`Diff`] says for every object whether it is new, gone or changed, and what the change amounts to. Both
//! configurations have to be validated. Nothing in a diff is an order to drop sessions but [`ListenerEffect::Restart`],
//! removal of a listener, and [`AuthDiff::realm`].

use std::collections::{BTreeMap, BTreeSet};

use crate::{Admin, Auth, Cluster, ClusterKind, Config, Listener};

/// The difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff<'c> {
    /// What changes about the process.
    pub admin: AdminDiff,
    /// What changes about authentication.
    pub auth: AuthDiff,
    /// Listeners that go (in the old order), then those that come or change (in the new order).
    pub listeners: Vec<Change<'c, Listener, ListenerEffect>>,
    /// Clusters, in the same manner.
    pub clusters: Vec<Change<'c, Cluster, ClusterEffect>>,
}

/// What happens to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'c, T, E> {
    /// There is no object of this name yet.
    Added(&'c T),
    /// There is no object of this name any more.
    Removed(&'c T),
    /// Both configurations have the object, with differences.
    Changed {
        /// As it is.
        old: &'c T,
        /// As it shall be.
        new: &'c T,
        /// What the differences amount to.
        effect: E,
    },
}

/// What a change of a listener amounts to; the strongest one where several apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenerEffect {
    /// Replace the settings: routes or public address. Sessions and sockets stay.
    InPlace,
    /// Offer another certificate to new sessions. Sessions and sockets stay.
    Certificate,
    /// Close the sockets with all sessions and open new ones: protocol or an address or port.
    Restart,
}

/// What a change of a cluster amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterEffect {
    /// Replace the settings; the next packet is judged by them.
    InPlace,
    /// Give up the domain names that are being resolved and take up others.
    Resolve,
}

/// What changes about the process. None of it touches a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdminDiff {
    /// The instance id.
    pub name: bool,
    /// The log levels.
    pub loglevel: bool,
    /// Most allocations per user.
    pub user_quota: bool,
    /// The licence.
    pub license: bool,
    /// The metrics server has to move.
    pub metrics: bool,
    /// The health check server has to move.
    pub healthcheck: bool,
    /// The offload has to start over.
    pub offload: bool,
}

/// What changes about authentication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuthDiff {
    /// Kind or contents of the credentials. Sessions live on until they have to prove themselves again.
    pub credentials: bool,
    /// The realm. Credentials of all sessions are void with it: every listener that stays starts over.
    pub realm: bool,
}

impl<'c> Diff<'c> {
    /// What is different in `new`.
    pub fn between(old: &'c Config, new: &'c Config) -> Self {
        let auth = AuthDiff::between(&old.auth, &new.auth);
        let listener_effect = |old: &Listener, new: &Listener| {
            if auth.realm { Some(ListenerEffect::Restart) } else { listener_effect(old, new) }
        };
        Self {
            admin: AdminDiff::between(&old.admin, &new.admin),
            auth,
            listeners: changes(&old.listeners, &new.listeners, |listener| &listener.name, listener_effect),
            clusters: changes(&old.clusters, &new.clusters, |cluster| &cluster.name, cluster_effect),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.admin == AdminDiff::default()
            && self.auth == AuthDiff::default()
            && self.listeners.is_empty()
            && self.clusters.is_empty()
    }

    /// The objects that start over, as `kind: name`. What comes, goes or changes in place is not among them.
    pub fn restarts(&self) -> Vec<String> {
        let servers = [
            (self.admin.healthcheck, "health: default-health"),
            (self.admin.metrics, "metrics: default-metrics"),
            (self.admin.offload, "offload: default-offload"),
        ];
        let servers = servers.into_iter().filter(|(restarts, _)| *restarts).map(|(_, name)| name.to_owned());
        let listeners = self.listeners.iter().filter_map(|change| match change {
            Change::Changed { new, effect: ListenerEffect::Restart, .. } => {
                Some(format!("listener: {}", new.name))
            }
            _ => None,
        });
        let clusters = self.clusters.iter().filter_map(|change| match change {
            Change::Changed { new, effect: ClusterEffect::Resolve, .. } => {
                Some(format!("cluster: {}", new.name))
            }
            _ => None,
        });
        servers.chain(listeners).chain(clusters).collect()
    }
}

impl AdminDiff {
    fn between(old: &Admin, new: &Admin) -> Self {
        Self {
            name: old.name != new.name,
            loglevel: old.loglevel != new.loglevel,
            user_quota: old.user_quota != new.user_quota,
            license: old.license_config != new.license_config,
            metrics: old.metrics_endpoint != new.metrics_endpoint,
            healthcheck: old.healthcheck_endpoint != new.healthcheck_endpoint,
            offload: (old.offload_engine, &old.offload_interfaces)
                != (new.offload_engine, &new.offload_interfaces),
        }
    }
}

impl AuthDiff {
    fn between(old: &Auth, new: &Auth) -> Self {
        Self {
            credentials: (old.kind, &old.credentials) != (new.kind, &new.credentials),
            realm: old.realm != new.realm,
        }
    }
}

fn listener_effect(old: &Listener, new: &Listener) -> Option<ListenerEffect> {
    let socket = |listener: &Listener| {
        let Listener { protocol, address, port, bind_address, nat_discovery, .. } = listener.clone();
        (protocol, address, port, bind_address, nat_discovery)
    };
    if socket(old) != socket(new) {
        Some(ListenerEffect::Restart)
    } else if new.protocol.is_secure() && (&old.cert, &old.key) != (&new.cert, &new.key) {
        Some(ListenerEffect::Certificate)
    } else {
        (old != new).then_some(ListenerEffect::InPlace)
    }
}

fn cluster_effect(old: &Cluster, new: &Cluster) -> Option<ClusterEffect> {
    let domains = |cluster: &Cluster| -> Option<BTreeSet<String>> {
        (cluster.kind == ClusterKind::StrictDns)
            .then(|| cluster.endpoints.iter().map(|domain| domain.to_ascii_lowercase()).collect())
    };
    if domains(old) != domains(new) {
        Some(ClusterEffect::Resolve)
    } else {
        (old != new).then_some(ClusterEffect::InPlace)
    }
}

fn changes<'c, T, E>(
    old: &'c [T],
    new: &'c [T],
    name: impl Fn(&T) -> &String,
    effect: impl Fn(&T, &T) -> Option<E>,
) -> Vec<Change<'c, T, E>> {
    let old_names: BTreeMap<&String, &'c T> = old.iter().map(|object| (name(object), object)).collect();
    let new_names: BTreeSet<&String> = new.iter().map(&name).collect();
    let removed = old.iter().filter(|object| !new_names.contains(name(object))).map(Change::Removed);
    let rest = new.iter().filter_map(|new| match old_names.get(name(new)) {
        None => Some(Change::Added(new)),
        Some(&old) => effect(old, new).map(|effect| Change::Changed { old, new, effect }),
    });
    removed.chain(rest).collect()
}
