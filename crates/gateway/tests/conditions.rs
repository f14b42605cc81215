//! How what was rendered goes into statuses that exist.

use gateway::{
    api::{Condition, GatewayStatus, ListenerStatus, ParentRef, ParentStatus, Truth, UdpRouteStatus},
    condition::{merge, merge_gateway, merge_route},
};

const OURS: &str = "stunner.l7mp.io/gateway-operator";

#[test]
fn a_condition_gets_a_new_time_only_when_its_status_flips() {
    let old =
        [at("then", condition("Accepted", Truth::True)), at("then", condition("Programmed", Truth::False))];
    let mut accepted = condition("Accepted", Truth::True);
    accepted.message = "in other words".to_owned();
    accepted.observed_generation = Some(2);
    let new = [accepted.clone(), condition("Programmed", Truth::True), condition("Ready", Truth::True)];
    assert_eq!(
        merge(&old, &new, "now"),
        [
            at("then", accepted),
            at("now", condition("Programmed", Truth::True)),
            at("now", condition("Ready", Truth::True)),
        ]
    );
}

#[test]
fn conditions_of_others_stay_and_placeholders_go() {
    let old = [
        at("1970", condition("Accepted", Truth::Unknown)),
        at("1970", condition("Scheduled", Truth::Unknown)),
        at("then", condition("example.com/Audited", Truth::True)),
    ];
    let merged = merge(&old, &[condition("Accepted", Truth::True)], "now");
    assert_eq!(
        merged,
        [
            at("now", condition("Accepted", Truth::True)),
            at("then", condition("example.com/Audited", Truth::True))
        ]
    );
}

#[test]
fn there_are_never_more_than_eight_conditions() {
    let old: Vec<_> =
        (0..9).map(|n| at(&n.to_string(), condition(&format!("Foreign{n}"), Truth::True))).collect();
    let merged = merge(&old, &[condition("Accepted", Truth::True)], "now");
    assert_eq!(merged.len(), 8);
    assert!(merged.iter().any(|condition| condition.kind == "Foreign8"), "the newest stay");
    assert!(merged.iter().all(|condition| condition.kind != "Foreign0"));
}

#[test]
fn listeners_keep_their_times_by_name_even_if_a_name_is_there_twice() {
    let status = |listeners: &[(&str, Truth)]| GatewayStatus {
        listeners: (listeners.iter())
            .map(|(name, status)| ListenerStatus {
                name: (*name).to_owned(),
                conditions: vec![condition("Accepted", *status)],
                ..ListenerStatus::default()
            })
            .collect(),
        ..GatewayStatus::default()
    };
    let first = status(&[("a", Truth::True), ("a", Truth::False), ("b", Truth::True)]);
    let stored = merge_gateway(&GatewayStatus::default(), &first, "then");
    assert_eq!(merge_gateway(&stored, &first, "now"), stored);

    let moved = merge_gateway(&stored, &status(&[("new", Truth::True), ("b", Truth::True)]), "now");
    let times: Vec<_> =
        moved.listeners.iter().map(|l| l.conditions[0].last_transition_time.as_deref()).collect();
    assert_eq!(times, [Some("now"), Some("then")]);
}

#[test]
fn w10_entries_of_other_controllers_stay_as_they_are() {
    let foreign = parent("gw", "example.com/other", Truth::False);
    let old = UdpRouteStatus { parents: vec![foreign.clone(), parent("gone", OURS, Truth::True)] };
    let new = UdpRouteStatus { parents: vec![parent("gw", OURS, Truth::True)] };
    let merged = merge_route(&old, &new, OURS, "now");
    let mut ours = parent("gw", OURS, Truth::True);
    ours.conditions[0].last_transition_time = Some("now".to_owned());
    assert_eq!(merged.parents, [foreign.clone(), ours]);

    let left = merge_route(&old, &UdpRouteStatus::default(), OURS, "now");
    assert_eq!(left.parents, [foreign], "a route without parents of ours loses our entries");
}

#[test]
fn o7_defaults_of_the_api_server_make_no_difference() {
    let new = UdpRouteStatus { parents: vec![parent("gw", OURS, Truth::True)] };
    let mut stored = merge_route(&UdpRouteStatus::default(), &new, OURS, "then");
    stored.parents[0].parent_ref.group = Some("gateway.networking.k8s.io".to_owned());
    stored.parents[0].parent_ref.kind = Some("Gateway".to_owned());
    assert_eq!(merge_route(&stored, &new, OURS, "now"), stored);
}

fn condition(kind: &str, status: Truth) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status,
        reason: "Because".to_owned(),
        message: String::new(),
        observed_generation: Some(1),
        last_transition_time: None,
    }
}

fn at(time: &str, condition: Condition) -> Condition {
    Condition { last_transition_time: Some(time.to_owned()), ..condition }
}

fn parent(name: &str, controller: &str, status: Truth) -> ParentStatus {
    ParentStatus {
        parent_ref: ParentRef { name: name.to_owned(), ..ParentRef::default() },
        controller_name: controller.to_owned(),
        conditions: vec![condition("Accepted", status)],
    }
}
