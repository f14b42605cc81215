use std::fmt;

use crate::{
    Rendered, RouteKey, Snapshot,
    api::{Condition, Gateway, Key, ParentRef, Truth},
};

/// What became of Gateways and routes, as the rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// Gateways of ours, by namespace and name.
    pub gateways: Vec<GatewayRow>,
    /// Routes with a parent of ours, by API group, namespace and name.
    pub routes: Vec<RouteRow>,
}

/// One Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRow {
    /// Namespace and name.
    pub gateway: Key,
    /// Its class.
    pub class: String,
    /// Public address, if there is one.
    pub address: Option<String>,
    /// Its listeners, in order.
    pub listeners: Vec<ListenerRow>,
    /// Whether it was rendered.
    pub accepted: Verdict,
    /// Whether clients can use all of it.
    pub programmed: Verdict,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerRow {
    /// Name.
    pub name: String,
    /// Protocol as the user spelt it.
    pub protocol: String,
    /// Port that clients connect to.
    pub port: i32,
    /// Number of attached routes.
    pub attached_routes: i32,
    /// Whether it is in the configuration and has an address; says why not.
    pub programmed: Verdict,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    /// API group, namespace and name.
    pub route: RouteKey,
    /// Its parents, in order.
    pub parents: Vec<ParentRow>,
}

/// A route and one of its parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentRow {
    /// `namespace/gateway`, with `/listener` if the route asks for one.
    pub parent: String,
    /// Whether the parent lets the route in.
    pub accepted: Verdict,
    /// Whether all backends were found.
    pub resolved_refs: Verdict,
}

/// A condition without what only programs want to know. Prints as `True`, or as `False (Reason: message)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub status: Truth,
    /// Why, as one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

impl Verdict {
    /// Whether it holds.
    pub fn is_true(&self) -> bool {
        self.status == Truth::True
    }

    fn find(conditions: &[Condition], kind: &str) -> Self {
        let condition = conditions.iter().find(|condition| condition.kind == kind);
        condition.map_or_else(Self::default, |condition| Self {
            status: condition.status,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        match (self.is_true(), self.message.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => write!(f, " ({})", self.reason),
            (false, false) => write!(f, " ({}: {})", self.reason, self.message),
        }
    }
}

impl Rendered {
    /// What became of the Gateways and routes of the snapshot that this was rendered from.
    pub fn overview(&self, snapshot: &Snapshot) -> Overview {
        let gateways = self.gateways.keys().filter_map(|key| self.gateway_row(snapshot.gateways.get(key)?));
        let routes = self.routes.iter().filter(|(_, status)| !status.parents.is_empty());
        let routes = routes.map(|(route, status)| RouteRow {
            route: route.clone(),
            parents: (status.parents.iter())
                .map(|parent| ParentRow {
                    parent: parent_name(&route.key.namespace, &parent.parent_ref),
                    accepted: Verdict::find(&parent.conditions, "Accepted"),
                    resolved_refs: Verdict::find(&parent.conditions, "ResolvedRefs"),
                })
                .collect(),
        });
        Overview { gateways: gateways.collect(), routes: routes.collect() }
    }

    fn gateway_row(&self, gateway: &Gateway) -> Option<GatewayRow> {
        let key = gateway.metadata.key();
        let status = self.gateways.get(&key)?;
        let listeners =
            gateway.spec.listeners.iter().zip(&status.listeners).map(|(listener, status)| ListenerRow {
                name: listener.name.clone(),
                protocol: listener.protocol.clone(),
                port: listener.port,
                attached_routes: status.attached_routes,
                programmed: Verdict::find(&status.conditions, "Programmed"),
            });
        Some(GatewayRow {
            class: gateway.spec.gateway_class_name.clone(),
            address: status.addresses.first().map(|address| address.value.clone()),
            listeners: listeners.collect(),
            accepted: Verdict::find(&status.conditions, "Accepted"),
            programmed: Verdict::find(&status.conditions, "Programmed"),
            gateway: key,
        })
    }
}

/// `namespace/gateway`, with `/listener` if the reference names one.
pub(crate) fn parent_name(route_namespace: &str, parent: &ParentRef) -> String {
    let namespace = parent.namespace.as_deref().unwrap_or(route_namespace);
    match &parent.section_name {
        Some(listener) => format!("{namespace}/{}/{listener}", parent.name),
        None => format!("{namespace}/{}", parent.name),
    }
}
