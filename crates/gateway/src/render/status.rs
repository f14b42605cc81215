//! From what the rules found out to the status of a Gateway.

use super::{address, listener::Plan};
use crate::{
    Finding, Problem, Settings,
    api::{Condition, Gateway, GatewayStatus, ListenerStatus, RouteKind, Truth},
    condition::{self, ACCEPTED, CONFLICTED, PROGRAMMED, READY, RESOLVED_REFS},
    names,
};

/// Status of a Gateway that was rendered; `taken` is an object that is in the way of one of ours, `unready` says that
/// nobody would answer yet.
pub(super) fn gateway(
    settings: &Settings,
    gateway: &Gateway,
    plans: &[Plan<'_>],
    taken: Option<&Finding>,
    unready: Option<&Finding>,
) -> GatewayStatus {
    let new =
        |kind, status, reason, message| condition::new(&gateway.metadata, kind, status, reason, message);
    let accepted = format!("accepted by controller {:?}", settings.controller_name);
    let programmed = if let Some(finding) = taken {
        new(PROGRAMMED, Truth::False, "Invalid", explain(finding))
    } else if let (Some(finding), true) = (unready, plans.iter().all(|plan| plan.public.is_ok())) {
        new(PROGRAMMED, Truth::False, "Pending", explain(finding))
    } else if plans.iter().all(|plan| plan.public.is_ok()) {
        new(PROGRAMMED, Truth::True, "Programmed", "clients can reach all listeners".to_owned())
    } else {
        let cause = |plan: &Plan<'_>| Some(format!("{}: {}", plan.listener.name, plan.unprogrammed()?));
        let causes = plans.iter().filter_map(cause).collect::<Vec<_>>().join("; ");
        let message = format!("no public address for at least one listener ({causes})");
        new(PROGRAMMED, Truth::False, "AddressNotAssigned", message)
    };
    let mut conditions = vec![new(ACCEPTED, Truth::True, "Accepted", accepted), programmed];
    if settings.ready_condition {
        let ready = plans.iter().any(Plan::is_rendered);
        let (truth, reason, message) = if ready {
            (Truth::True, "Ready", "the dataplane has its configuration")
        } else {
            (Truth::False, "ListenersNotValid", "no listener can be used")
        };
        conditions.push(new(READY, truth, reason, message.to_owned()));
    }
    GatewayStatus {
        addresses: address::in_status(plans),
        conditions,
        listeners: plans.iter().map(|plan| listener(gateway, plan)).collect(),
    }
}

/// Status of a Gateway for which nothing could be rendered.
///
/// What was last rendered stays in force, and so does the address that goes with it; `shut_down` means that it does not.
pub(super) fn stale(
    settings: &Settings,
    gateway: &Gateway,
    cause: &Problem,
    shut_down: bool,
) -> GatewayStatus {
    let new =
        |kind, status, reason, message| condition::new(&gateway.metadata, kind, status, reason, message);
    let message = if shut_down {
        format!("controller {:?}: operator unavailable after graceful shutdown", settings.controller_name)
    } else {
        format!(
            "controller {:?}: {cause}. What was rendered before, if anything, stays in force",
            settings.controller_name
        )
    };
    let mut conditions = vec![
        new(ACCEPTED, Truth::False, "Pending", message.clone()),
        new(PROGRAMMED, Truth::False, "Invalid", message.clone()),
    ];
    if settings.ready_condition {
        conditions.push(new(READY, Truth::False, "Invalid", message));
    }
    let pending = |name: &str| {
        let new = |kind, truth, reason: &str| condition::new(&gateway.metadata, kind, truth, reason, PENDING);
        status(
            name,
            0,
            vec![
                new(ACCEPTED, Truth::Unknown, "Pending"),
                new(CONFLICTED, Truth::False, "NoConflicts"),
                new(RESOLVED_REFS, Truth::True, "ResolvedRefs"),
                new(PROGRAMMED, Truth::Unknown, "Pending"),
            ],
        )
    };
    GatewayStatus {
        addresses: if shut_down { Vec::new() } else { gateway.status.addresses.clone() },
        conditions,
        listeners: gateway.spec.listeners.iter().map(|listener| pending(&listener.name)).collect(),
    }
}

const PENDING: &str = "not looked at until the Gateway is accepted";

fn listener(gateway: &Gateway, plan: &Plan<'_>) -> ListenerStatus {
    let new = |kind, status, reason: &str, message: String| {
        condition::new(&gateway.metadata, kind, status, reason, message)
    };
    let conflict = plan.refusal.as_ref().filter(|finding| matches!(finding, Finding::PortTaken { .. }));
    let accepted = match &plan.refusal {
        None => new(ACCEPTED, Truth::True, "Accepted", "listener accepted".to_owned()),
        Some(finding) => {
            let reason = match finding {
                Finding::UnknownProtocol(_) => "UnsupportedProtocol",
                Finding::PortTaken { .. } | Finding::PortOutOfRange(_) => "PortUnavailable",
                _ => "Invalid",
            };
            new(ACCEPTED, Truth::False, reason, explain(finding))
        }
    };
    let conflicted = match conflict {
        None => new(CONFLICTED, Truth::False, "NoConflicts", "port is free".to_owned()),
        Some(finding) => new(CONFLICTED, Truth::True, "ProtocolConflict", explain(finding)),
    };
    let resolved = match &plan.certificate {
        Ok(None) => new(RESOLVED_REFS, Truth::True, "ResolvedRefs", "nothing to look up".to_owned()),
        Ok(Some(_)) => {
            let message = format!("certificate found{}", super::route::ungranted(&plan.ungranted()));
            new(RESOLVED_REFS, Truth::True, "ResolvedRefs", message)
        }
        Err(finding) => {
            let denied = matches!(finding, Finding::NotPermitted(_));
            let reason = if denied { "RefNotPermitted" } else { "InvalidCertificateRef" };
            new(RESOLVED_REFS, Truth::False, reason, explain(finding))
        }
    };
    let programmed = match plan.unprogrammed() {
        None => new(PROGRAMMED, Truth::True, "Programmed", "clients can reach the listener".to_owned()),
        Some(finding) => {
            let reason = if plan.is_rendered() { "Pending" } else { "Invalid" };
            new(PROGRAMMED, Truth::False, reason, explain(finding))
        }
    };
    // A conflict ends with the other listener, so its routes count; nothing attaches to a listener that makes no sense.
    let attached = if plan.is_rendered() || conflict.is_some() { plan.attached } else { 0 };
    status(&plan.listener.name, attached, vec![accepted, conflicted, resolved, programmed])
}

fn explain(finding: &Finding) -> String {
    format!("{finding}; {}", finding.remedy())
}

fn status(name: &str, attached_routes: i32, conditions: Vec<Condition>) -> ListenerStatus {
    let kind = |group: &str| RouteKind { group: group.to_owned(), kind: "UDPRoute".to_owned() };
    ListenerStatus {
        name: name.to_owned(),
        supported_kinds: vec![kind(names::GATEWAY_GROUP), kind(names::GROUP)],
        attached_routes,
        conditions,
    }
}
