use auth::split::{GroupBy, by_gateway};
use config::{Config, Protocol};

use crate::support::{fixed, listener};

fn parts(config: Config) -> Vec<(String, Vec<String>)> {
    let names = |config: &Config| config.listeners.iter().map(|l| l.name.clone()).collect();
    by_gateway(config).iter().map(|part| (part.admin.name.clone(), names(part))).collect()
}

fn owned(name: &str, listeners: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), listeners.iter().map(|&l| l.to_owned()).collect())
}

#[test]
fn a_merged_configuration_becomes_one_per_gateway() {
    assert_eq!(
        parts(fixed()),
        [
            owned(
                "testnamespace/testgateway",
                &["testnamespace/testgateway/udp", "testnamespace/testgateway/dtls"]
            ),
            owned("dummynamespace/testgateway", &["dummynamespace/testgateway/tcp"]),
            owned("testnamespace/dummygateway", &["testnamespace/dummygateway/tls"]),
        ]
    );
    for part in by_gateway(fixed()) {
        assert_eq!((part.auth, part.clusters), (fixed().auth, fixed().clusters));
    }
}

#[test]
fn what_belongs_to_no_gateway_stays_under_the_old_name() {
    let mut config = fixed();
    config.listeners.truncate(1);
    for name in ["udp", "a/b", "a/b/c/d"] {
        config.listeners.push(listener(name, Protocol::Udp, ("", 0), ("", 0)));
    }
    assert_eq!(
        parts(config),
        [
            owned("testnamespace/testgateway", &["testnamespace/testgateway/udp"]),
            owned("testnamespace/stunnerd-static", &["udp", "a/b", "a/b/c/d"]),
        ]
    );
}

#[test]
fn a_configuration_without_listeners_is_not_lost() {
    let zero = Config::zero("n/g");
    assert_eq!(by_gateway(zero.clone()), [zero]);
}

#[test]
fn configurations_are_only_split_if_that_is_wanted() {
    assert_eq!(GroupBy::Config.apply(fixed()), [fixed()]);
    assert_eq!(GroupBy::Gateway.apply(fixed()).len(), 3);
}

#[test]
fn a_file_is_taken_for_a_legacy_configmap_and_discovery_is_not() {
    let usual = |origin: &str| GroupBy::usual(&origin.parse().unwrap());
    assert_eq!(usual("/etc/stunnerd/stunnerd.conf"), GroupBy::Gateway);
    assert_eq!(usual("http://127.0.0.1:13478"), GroupBy::Config);
    assert_eq!(("config".parse(), "gateway".parse()), (Ok(GroupBy::Config), Ok(GroupBy::Gateway)));
    assert_eq!("listener".parse::<GroupBy>().unwrap_err().to_string(), "must be config or gateway");
}
