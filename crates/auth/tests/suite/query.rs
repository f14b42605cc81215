use auth::host::Host;
use auth::query::{
    DEFAULT_MAX_TTL, Endpoint, Filter, IceTransportPolicy, MAX_QUERY_LEN, MAX_USER_ID_LEN, Parameter, Query,
    Service,
};
use auth::refusal::Refusal;
use proptest::prelude::*;

fn ice(raw: &str) -> Result<Query, Refusal> {
    Query::parse(Endpoint::IceAuth, raw, DEFAULT_MAX_TTL)
}

fn turn(raw: &str) -> Result<Query, Refusal> {
    Query::parse(Endpoint::TurnAuth, raw, DEFAULT_MAX_TTL)
}

fn plain() -> Query {
    Query {
        service: Service::Turn,
        user: String::new(),
        ttl: 86_400,
        policy: IceTransportPolicy::All,
        filter: Filter::Any,
        public_addr: None,
    }
}

#[test]
fn nothing_asked_means_defaults() {
    assert_eq!(ice(""), Ok(plain()));
    assert_eq!(turn("service=turn"), Ok(plain()));
}

#[test]
fn everything_asked_is_understood() {
    let raw = "service=turn&username=alice&ttl=60&iceTransportPolicy=relay&key=abc&namespace=n&gateway=g&listener=l\
               &public-addr=turn.example.org";
    let expected = Query {
        user: "alice".into(),
        ttl: 60,
        policy: IceTransportPolicy::Relay,
        filter: Filter::Listener("n".into(), "g".into(), "l".into()),
        public_addr: Some("turn.example.org".parse().unwrap()),
        ..plain()
    };
    assert_eq!(ice(raw), Ok(expected.clone()));
    assert_eq!(turn(raw), Ok(Query { policy: IceTransportPolicy::All, ..expected }), "no policy on /");
}

#[test]
fn an_empty_value_is_no_value() {
    let raw = "service=&username=&iceTransportPolicy=&key=&namespace=&gateway=&listener=&public-addr=";
    assert_eq!(ice(raw), Ok(plain()));
    assert_eq!(ice("service&username&namespace"), Ok(plain()));
    assert_eq!(turn("service="), Err(Refusal::Missing(Parameter::Service)));
}

#[test]
fn unknown_parameters_are_ignored_whatever_they_hold() {
    for raw in
        ["color=blue&color=red", "%zz=1", "Service=dummy", "SERVICE=%", "%ff%fe=%ff", "&&&", "=", "=&=="]
    {
        assert_eq!(ice(raw), Ok(plain()), "{raw}");
    }
    assert_eq!(turn("service=turn&iceTransportPolicy=x&iceTransportPolicy=%"), Ok(plain()));
}

#[test]
fn names_and_values_are_decoded() {
    let query = ice("user%6Eame=J%C3%B6rg+%2B1%26%3D%25").unwrap();
    assert_eq!(query.user, "Jörg +1&=%");
    assert_eq!(ice("username=a=b").unwrap().user, "a=b");
}

#[test]
fn a_gateway_needs_its_namespace_and_a_listener_its_gateway() {
    let table = [
        ("gateway=g", Filter::Any),
        ("listener=l", Filter::Any),
        ("gateway=g&listener=l", Filter::Any),
        ("namespace=n&listener=l", Filter::Namespace("n".into())),
        ("namespace=n&gateway=&listener=l", Filter::Namespace("n".into())),
        ("listener=&gateway=g&namespace=n", Filter::Gateway("n".into(), "g".into())),
    ];
    for (raw, expected) in table {
        assert_eq!(ice(raw).unwrap().filter, expected, "{raw}");
    }
}

#[test]
fn refusals_come_in_a_fixed_order_and_name_the_parameter() {
    let required = "Query argument service is required, but not found";
    let twice = |p: &str| {
        format!("Invalid format for parameter {p}: multiple values for single value parameter '{p}'")
    };
    let invalid = |p: &str, why: &str| format!("Invalid format for parameter {p}: {why}");
    let range = "must be from 1 to 31536000 seconds";
    let table = [
        (turn(""), required.to_owned()),
        (turn("username=a&username=b&ttl=x"), required.to_owned()),
        (turn("service=&service=turn"), required.to_owned()),
        (turn("service=turn&service=turn"), twice("service")),
        (turn("service=turn&ttl=x&username=a&username=b"), twice("username")),
        (ice("listener=a&listener=a&gateway=b&gateway=b"), twice("gateway")),
        (ice("public-addr=&public-addr="), twice("public-addr")),
        (ice("ttl="), invalid("ttl", "must be a whole number of seconds")),
        (ice("ttl"), invalid("ttl", "must be a whole number of seconds")),
        (ice("ttl=1.5"), invalid("ttl", "must be a whole number of seconds")),
        (ice("ttl=1h"), invalid("ttl", "must be a whole number of seconds")),
        (ice("ttl=99999999999999999999"), invalid("ttl", "must be a whole number of seconds")),
        (ice("ttl=0"), invalid("ttl", range)),
        (ice("ttl=-1"), invalid("ttl", range)),
        (ice("ttl=31536001"), invalid("ttl", range)),
        (ice("ttl=9223372036854775807"), invalid("ttl", range)),
        (ice("service=%zz"), invalid("service", "invalid percent-encoding")),
        (ice("username=%"), invalid("username", "invalid percent-encoding")),
        (ice("username=%4"), invalid("username", "invalid percent-encoding")),
        (ice("username=%ff"), invalid("username", "not UTF-8")),
        (ice("username=a%0Ab"), invalid("username", "control characters are not allowed")),
        (ice("namespace=%00"), invalid("namespace", "control characters are not allowed")),
        (ice("key=%7f"), invalid("key", "control characters are not allowed")),
        (ice("ttl=x&iceTransportPolicy=x"), invalid("ttl", "must be a whole number of seconds")),
        (
            ice("iceTransportPolicy=x&public-addr=/"),
            invalid("iceTransportPolicy", "must be one of all, public, relay"),
        ),
        (ice("iceTransportPolicy=Relay"), invalid("iceTransportPolicy", "must be one of all, public, relay")),
        (
            ice("public-addr=1.2.3.4:3478"),
            invalid("public-addr", "not an IP address or a host name (without scheme, port or path)"),
        ),
    ];
    for (result, expected) in table {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn another_service_is_noticed_but_not_refused_yet() {
    assert_eq!(ice("service=dummy").unwrap().service, Service::Unknown);
    assert_eq!(turn("service=TURN").unwrap().service, Service::Unknown);
}

#[test]
fn the_bounds_of_a_ttl_can_be_configured() {
    let parse = |raw| Query::parse(Endpoint::IceAuth, raw, 600).map(|query| query.ttl);
    assert_eq!((parse("ttl=1"), parse("ttl=600"), parse("")), (Ok(1), Ok(600), Ok(600)));
    let refused = parse("ttl=601").unwrap_err();
    assert_eq!(refused.to_string(), "Invalid format for parameter ttl: must be from 1 to 600 seconds");
}

#[test]
fn public_is_an_old_word_for_all() {
    let policy = |raw| ice(raw).unwrap().policy;
    assert_eq!(policy("iceTransportPolicy=public"), IceTransportPolicy::All);
    assert_eq!(policy("iceTransportPolicy=all"), IceTransportPolicy::All);
}

#[test]
fn the_longest_user_id_and_query_are_exact() {
    let id = |len| format!("username={}", "u".repeat(len));
    assert_eq!(ice(&id(MAX_USER_ID_LEN)).unwrap().user.len(), MAX_USER_ID_LEN);
    assert!(matches!(ice(&id(MAX_USER_ID_LEN + 1)), Err(Refusal::Invalid(Parameter::Username, _))));
    let padded = |len| format!("x={}", "y".repeat(len - 2));
    assert_eq!(ice(&padded(MAX_QUERY_LEN)), Ok(plain()));
    assert_eq!(ice(&padded(MAX_QUERY_LEN + 1)), Err(Refusal::QueryTooLong));
}

#[test]
fn a_host_is_an_address_or_a_name() {
    let good = [
        ("1.2.3.4", "1.2.3.4"),
        ("::1", "::1"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("turn.example.org", "turn.example.org"),
        ("turn.example.org.", "turn.example.org."),
        ("a_b-c", "a_b-c"),
        ("3com.example", "3com.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ];
    for (text, expected) in good {
        assert_eq!(text.parse::<Host>().unwrap().as_str(), expected);
    }
    let bad = [
        "",
        " ",
        ".",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "1.2.3.4:3478",
        "[::1]:3478",
        "[1.2.3.4]",
        "[turn.example]",
        "turn:1.2.3.4",
        "1.2.3",
        "1.2.3.400",
        "a..b",
        "fe80::1%eth0",
        "bücher.example",
        "\u{202e}x",
        "$STUNNER_ADDR",
    ];
    for text in bad {
        assert!(text.parse::<Host>().is_err(), "{text:?}");
    }
    assert!(format!("{}.example", "a".repeat(64)).parse::<Host>().is_err());
    assert!("a.".repeat(128).parse::<Host>().is_err());
}

/// Queries out of pieces that mean something, and some that do not.
fn queries() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(Parameter::ALL.map(Parameter::name).to_vec()).prop_map(str::to_owned),
        "[a-zA-Z%+]{0,8}",
    ];
    let value =
        prop_oneof!["turn|all|relay|[0-9]{1,12}|-[0-9]+", "[a-z0-9.:%+\\[\\]-]{0,20}", any::<String>()];
    prop::collection::vec((name, value), 0..6).prop_map(|pairs| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    })
}

proptest! {
    #[test]
    fn what_is_understood_is_within_bounds(raw in queries()) {
        for endpoint in [Endpoint::TurnAuth, Endpoint::IceAuth] {
            match Query::parse(endpoint, &raw, 600) {
                Ok(query) => {
                    prop_assert!((1..=600).contains(&query.ttl));
                    prop_assert!(query.user.len() <= MAX_USER_ID_LEN && !query.user.contains(char::is_control));
                }
                Err(refusal) => {
                    prop_assert!(refusal.status().is_client_error());
                    prop_assert!(!refusal.to_string().contains(char::is_control));
                }
            }
        }
    }

    #[test]
    fn any_name_that_is_encoded_comes_back(user in "\\PC{1,80}") {
        let encoded = percent_encoding::utf8_percent_encode(&user, percent_encoding::NON_ALPHANUMERIC);
        prop_assert_eq!(ice(&format!("username={encoded}")).unwrap().user, user);
    }
}
