//! Fields that the original does not have: read, checked, and left out of documents when they say nothing.

use crate::common::parse;
use config::Limits;

const AUTH: &str = "auth: { credentials: { username: u, password: p } }";

fn listener(fields: &str) -> String {
    format!("version: v1\n{AUTH}\nlisteners: [ {{ name: l, {fields} }} ]\n")
}

#[test]
fn ranges_of_relay_ports_and_alternate_servers_are_read_and_checked() {
    let config = parse(&listener("relay_ports: 50000-59999, alternate_server: '192.0.2.1:3478'")).unwrap();
    let l = &config.listeners[0];
    assert_eq!(l.relay_port_range().unwrap(), Some((50_000, 59_999)));
    assert_eq!(l.alternate().unwrap(), Some("192.0.2.1:3478".parse().unwrap()));
    let again = parse(&config.to_json()).unwrap();
    assert_eq!(again, config);
    for bad in ["relay_ports: 5", "relay_ports: 9-5", "relay_ports: 0-5", "relay_ports: 1-70000"] {
        assert!(parse(&listener(bad)).unwrap_err().to_string().contains("relay_ports"), "{bad}");
    }
    let error = parse(&listener("alternate_server: example.org")).unwrap_err().to_string();
    assert!(error.contains("alternate_server") && error.contains("192.0.2.1:3478"), "{error}");
}

#[test]
fn an_additional_address_is_of_the_other_family() {
    let config = parse(&listener("address: 192.0.2.1, additional_address: '2001:db8::1'")).unwrap();
    let additional = config.listeners[0].additional_relay_address().unwrap();
    assert_eq!(additional, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(parse(&config.to_json()).unwrap(), config);
    for bad in [
        "address: 192.0.2.1, additional_address: 192.0.2.2",
        "address: '2001:db8::1', additional_address: '2001:db8::2'",
        "address: 192.0.2.1, additional_address: '::ffff:192.0.2.2'",
        "address: 192.0.2.1, additional_address: '::'",
        "address: 192.0.2.1, additional_address: nowhere",
        "additional_address: '2001:db8::1'",
    ] {
        let error = parse(&listener(bad)).unwrap_err().to_string();
        assert!(error.contains("listeners[0].additional_address"), "{bad}: {error}");
    }
    let open = "address: $STUNNER_ADDR, additional_address: $STUNNER_ADDR_V6";
    let env = |name: &str| Some(if name.ends_with("V6") { "2001:db8::1" } else { "192.0.2.1" }.to_owned());
    let expanded = config::Config::parse(&listener(open), &env).unwrap();
    assert_eq!(expanded.listeners[0].additional_relay_address().unwrap(), additional);
}

#[test]
fn what_is_off_unless_asked_for_is_asked_for_with_true() {
    let off = &parse(&listener("port: 1")).unwrap().listeners[0];
    assert!(!off.icmp_errors && !off.mobility);
    assert!(parse(&listener("mobility: true")).unwrap().listeners[0].mobility);
    let error = parse(&listener("mobility: true, protocol: DTLS")).unwrap_err().to_string();
    assert!(error.contains("listeners[0].mobility") && error.contains("DTLS"), "{error}");
    for (text, expected) in [("true", true), ("false", false), ("'true'", true), ("''", false)] {
        let config = parse(&listener(&format!("icmp_errors: {text}"))).unwrap();
        assert_eq!(config.listeners[0].icmp_errors, expected, "{text}");
        assert_eq!(parse(&config.to_json()).unwrap(), config);
    }
    for bad in ["yes please", "1", "[]"] {
        let error = parse(&listener(&format!("icmp_errors: {bad}"))).unwrap_err().to_string();
        assert!(error.contains("listeners[0].icmp_errors") && error.contains("true or false"), "{error}");
    }
}

#[test]
fn nat_discovery_has_another_address_and_another_port() {
    let with = |fields: &str| parse(&listener(&format!("port: 3478, {fields}")));
    let config = with("address: 192.0.2.1, nat_discovery: '192.0.2.2:3479'").unwrap();
    let [first, second] = ["192.0.2.1:3478", "192.0.2.2:3479"].map(|text| text.parse().unwrap());
    assert_eq!(config.listeners[0].discovery().unwrap(), Some((first, second)));
    assert_eq!(parse(&config.to_json()).unwrap(), config);
    for bad in [
        "address: 192.0.2.1, nat_discovery: '192.0.2.1:3479'",
        "address: 192.0.2.1, nat_discovery: '192.0.2.2:3478'",
        "address: 192.0.2.1, nat_discovery: '[2001:db8::2]:3479'",
        "address: 192.0.2.1, nat_discovery: '192.0.2.2'",
        "address: 192.0.2.1, nat_discovery: '192.0.2.2:3479', protocol: TCP",
        "address: 192.0.2.1, nat_discovery: '192.0.2.2:3479', bind_address: 192.0.2.1",
        "nat_discovery: '192.0.2.2:3479'",
    ] {
        let error = with(bad).unwrap_err().to_string();
        assert!(error.contains("listeners[0].nat_discovery"), "{bad}: {error}");
    }
}

#[test]
fn limits_are_read_and_left_out_where_they_are_the_defaults() {
    let admin = "admin: { limits: { permissions: 9, allocations_per_address: 3, handshakes: 8, handshakes_per_address: 5 } }";
    let config = parse(&format!("version: v1\n{AUTH}\n{admin}\n")).unwrap();
    let handshakes = Limits { handshakes: 8, handshakes_per_address: 5, ..Limits::default() };
    let expected = Limits { permissions: 9, allocations_per_address: 3, ..handshakes };
    assert_eq!(config.admin.limits, expected);
    assert_eq!(parse(&config.to_json()).unwrap(), config);
    let plain = parse(&listener("port: 3478")).unwrap().to_json();
    for field in [
        "limits",
        "icmp_errors",
        "mobility",
        "additional_address",
        "relay_ports",
        "alternate_server",
        "previous",
    ] {
        assert!(!plain.contains(field), "{plain}");
    }
    let error = parse(&format!("version: v1\n{AUTH}\nadmin: {{ limits: {{ channels: -1 }} }}\n"));
    assert!(error.unwrap_err().to_string().contains("channels"));
}

#[test]
fn former_credentials_are_kept_with_the_kind_they_belong_to() {
    let auth = |text: &str| parse(&format!("version: v1\nauth: {text}\n")).unwrap().auth.credentials;
    let all = "previous_password: old, previous_username: was, previous_secret: before";
    let fixed = auth(&format!("{{ credentials: {{ username: u, password: p, {all} }} }}"));
    assert_eq!(fixed.previous_password.unwrap().expose(), "old");
    assert_eq!(fixed.previous_username.unwrap().expose(), "was");
    assert!(fixed.previous_secret.is_none());
    let shared = auth(&format!("{{ type: ephemeral, credentials: {{ secret: s, {all} }} }}"));
    assert_eq!(shared.previous_secret.unwrap().expose(), "before");
    assert!(shared.previous_password.is_none() && shared.previous_username.is_none());
}
