//! Conditions of statuses: their names, and how new ones go into a status that exists.

use crate::api::{
    Condition, GatewayClassStatus, GatewayStatus, ListenerStatus, Metadata, ParentRef, ParentStatus, Truth,
    UdpRouteStatus,
};
use crate::names;

/// GatewayClass, Gateway, listener, route: it is ours and makes sense.
pub const ACCEPTED: &str = "Accepted";
/// Gateway, listener: clients can use it.
pub const PROGRAMMED: &str = "Programmed";
/// Gateway: what Gateway API 0.5 called it.
pub const READY: &str = "Ready";
/// Listener: its port is taken.
pub const CONFLICTED: &str = "Conflicted";
/// Listener, route: what it refers to was found.
pub const RESOLVED_REFS: &str = "ResolvedRefs";

/// Most conditions a Gateway, listener or parent may have.
const CAPACITY: usize = 8;

/// A condition on the object with this metadata, without a time.
pub(crate) fn new(
    metadata: &Metadata,
    kind: &str,
    status: Truth,
    reason: &str,
    message: impl Into<String>,
) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message: shorten(message.into()),
        observed_generation: metadata.generation,
        last_transition_time: None,
    }
}

/// Cuts a message to what the API server takes.
fn shorten(mut message: String) -> String {
    const LONGEST: usize = 32 * 1024;
    if message.len() > LONGEST {
        message.truncate(message.floor_char_boundary(LONGEST - '…'.len_utf8()));
        message.push('…');
    }
    message
}

/// The conditions to write: those of `new`, then those of `old` of other types, which are none of our business.
///
/// A condition that keeps its status keeps its time of transition; the rest gets `now` (RFC 3339). Placeholders, that
/// is conditions of other types with status Unknown, are dropped, and so are the oldest foreign ones beyond the eight
/// that the API allows.
pub fn merge(old: &[Condition], new: &[Condition], now: &str) -> Vec<Condition> {
    let since = |condition: &Condition| {
        let same = old.iter().find(|old| old.kind == condition.kind && old.status == condition.status);
        same.and_then(|old| old.last_transition_time.clone()).unwrap_or_else(|| now.to_owned())
    };
    let ours = new
        .iter()
        .map(|condition| Condition { last_transition_time: Some(since(condition)), ..condition.clone() });
    let foreign = old
        .iter()
        .filter(|old| old.status != Truth::Unknown && new.iter().all(|condition| condition.kind != old.kind));
    let mut foreign: Vec<_> = foreign.cloned().collect();
    let room = CAPACITY.saturating_sub(new.len());
    if foreign.len() > room {
        foreign.sort_by(|a, b| b.last_transition_time.cmp(&a.last_transition_time));
        foreign.truncate(room);
    }
    ours.chain(foreign).collect()
}

/// The status of a GatewayClass to write.
pub fn merge_class(old: &GatewayClassStatus, new: &GatewayClassStatus, now: &str) -> GatewayClassStatus {
    GatewayClassStatus { conditions: merge(&old.conditions, &new.conditions, now), ..new.clone() }
}

/// The status of a Gateway to write. Listeners that are gone go; foreign conditions of those that stay, stay.
pub fn merge_gateway(old: &GatewayStatus, new: &GatewayStatus, now: &str) -> GatewayStatus {
    let mut merged = new.clone();
    merged.conditions = merge(&old.conditions, &new.conditions, now);
    for (at, listener) in merged.listeners.iter_mut().enumerate() {
        // By name; by position too where a name is there twice.
        let same = |old: &&ListenerStatus| old.name == listener.name;
        let before = old.listeners.get(at).filter(same).or_else(|| old.listeners.iter().find(same));
        let before = before.map_or(&[][..], |old| &old.conditions);
        listener.conditions = merge(before, &listener.conditions, now);
    }
    merged
}

/// The status of a route to write: the entries of other controllers as they are, and ours replaced by those of `new`.
pub fn merge_route(
    old: &UdpRouteStatus,
    new: &UdpRouteStatus,
    controller: &str,
    now: &str,
) -> UdpRouteStatus {
    let (ours, foreign): (Vec<_>, Vec<_>) =
        old.parents.iter().partition(|parent| parent.controller_name == controller);
    let renewed = new.parents.iter().map(|parent| {
        let Some(before) = ours.iter().find(|old| same_parent(&old.parent_ref, &parent.parent_ref)) else {
            return ParentStatus { conditions: merge(&[], &parent.conditions, now), ..parent.clone() };
        };
        // The spelling that the API server gave the reference stays, so that equal statuses compare equal.
        let parent_ref = before.parent_ref.clone();
        ParentStatus {
            parent_ref,
            conditions: merge(&before.conditions, &parent.conditions, now),
            ..parent.clone()
        }
    });
    UdpRouteStatus { parents: foreign.into_iter().cloned().chain(renewed).collect() }
}

/// Whether two references mean the same parent, whether the API server has filled in defaults or not.
fn same_parent(a: &ParentRef, b: &ParentRef) -> bool {
    let filled = |parent: &ParentRef| ParentRef {
        group: Some(parent.group.clone().unwrap_or_else(|| names::GATEWAY_GROUP.to_owned())),
        kind: Some(parent.kind.clone().unwrap_or_else(|| "Gateway".to_owned())),
        port: None,
        ..parent.clone()
    };
    filled(a) == filled(b)
}
