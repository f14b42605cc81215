use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use config::Config;
use serde_json::Value;

use crate::{
    Settings,
    api::{GatewayClassStatus, GatewayStatus, Key, ObjectRef, UdpRouteStatus},
    names::service_name,
    problem::{Problem, Transport},
    problems::Problems,
};

/// What the objects of a [`crate::Snapshot`] come to.
///
/// Objects to create are JSON with `apiVersion`, `kind` and exactly the fields that are ours, ready for server-side
/// apply.
#[derive(Clone, Default, PartialEq)]
pub struct Rendered {
    /// Configuration of each Gateway's dataplane, by `namespace/name`. Empty in legacy mode.
    pub configs: BTreeMap<String, Config>,
    /// Services that expose Gateways, by their own name.
    pub services: BTreeMap<Key, Value>,
    /// Deployments of dataplane pods.
    pub deployments: BTreeMap<Key, Value>,
    /// DaemonSets of dataplane pods.
    pub daemon_sets: BTreeMap<Key, Value>,
    /// ConfigMaps of legacy mode.
    pub config_maps: BTreeMap<Key, Value>,
    /// Objects of ours that exist and should not.
    pub deletes: BTreeSet<ObjectRef>,
    /// Status of each GatewayClass of ours.
    pub gateway_classes: BTreeMap<Key, GatewayClassStatus>,
    /// Status of each Gateway of ours.
    pub gateways: BTreeMap<Key, GatewayStatus>,
    /// Our part of the status of each route that has, or used to have, a parent of ours.
    pub routes: BTreeMap<RouteKey, UdpRouteStatus>,
    /// Gateways without a result because of missing or invalid input, and why: whatever was last rendered for them must
    /// stay in force ([`Rendered::keep_last_good`]).
    pub stale: BTreeMap<Key, Problem>,
    /// All findings.
    pub problems: Problems,
}

/// Leaves the contents of ConfigMaps out, because they hold credentials.
impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered")
            .field("configs", &self.configs)
            .field("services", &self.services)
            .field("deployments", &self.deployments)
            .field("daemon_sets", &self.daemon_sets)
            .field("config_maps", &self.config_maps.keys())
            .field("deletes", &self.deletes)
            .field("gateway_classes", &self.gateway_classes)
            .field("gateways", &self.gateways)
            .field("routes", &self.routes)
            .field("stale", &self.stale)
            .field("problems", &self.problems)
            .finish()
    }
}

impl Rendered {
    /// Puts what `previous` has for stale Gateways in the place of what could not be rendered for them. Call it before
    /// anything is published; `previous` is the last result, itself so completed.
    ///
    /// Where Gateways share the ports of one host, a port that has gone to a Gateway rendered anew is taken out of the
    /// old configuration.
    pub fn keep_last_good(&mut self, previous: &Self, settings: &Settings) {
        let taken: BTreeSet<_> = (self.configs.values().filter(|_| settings.one_host))
            .flat_map(|config| &config.listeners)
            .map(|listener| (Transport::from(listener.protocol), listener.port))
            .collect();
        for gateway in self.stale.keys() {
            if let Some(config) = previous.configs.get(&gateway.to_string()) {
                let mut config = config.clone();
                config.listeners.retain(|l| !taken.contains(&(Transport::from(l.protocol), l.port)));
                self.configs.entry(gateway.to_string()).or_insert(config);
            }
            if let (Some(status), Some(before)) =
                (self.gateways.get_mut(gateway), previous.gateways.get(gateway))
                && status.addresses.is_empty()
            {
                status.addresses.clone_from(&before.addresses);
            }
            let own = Key::new(&gateway.namespace, service_name(&gateway.name));
            keep(&mut self.services, &previous.services, &own);
            keep(&mut self.deployments, &previous.deployments, &own);
            keep(&mut self.daemon_sets, &previous.daemon_sets, &own);
        }
    }
}

fn keep(now: &mut BTreeMap<Key, Value>, previous: &BTreeMap<Key, Value>, key: &Key) {
    if let (false, Some(object)) = (now.contains_key(key), previous.get(key)) {
        now.insert(key.clone(), object.clone());
    }
}

/// A route of either API group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// API group.
    pub api: RouteApi,
    /// Namespace and name.
    pub key: Key,
}

/// API group of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteApi {
    /// `stunner.l7mp.io/v1`.
    Stunner,
    /// `gateway.networking.k8s.io/v1alpha2`.
    Gateway,
}

impl RouteApi {
    /// API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Stunner => crate::names::GROUP,
            Self::Gateway => crate::names::GATEWAY_GROUP,
        }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UDPRoute.{} {}", self.api.group(), self.key)
    }
}
