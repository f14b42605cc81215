use crate::{Config, env};

const REFERENCE: [&str; 2] = [
    r#"{"version":"v1","admin":{"name":"stunner/udp-gateway","loglevel":"all:INFO","healthcheck_endpoint":"http://:8086","offload_engine":"None"},"auth":{"type":"static","realm":"stunner.l7mp.io","credentials":{"password":"pass-1","username":"user-1"}},"listeners":[{"name":"stunner/udp-gateway/udp-listener","protocol":"TURN-UDP","public_address":"10.99.0.11","public_port":3478,"address":"$STUNNER_ADDR","port":3478,"routes":["stunner/stunner-headless"]}],"clusters":[{"name":"stunner/stunner-headless","type":"STATIC","protocol":"UDP","endpoints":["10.244.0.12","10.244.0.13","10.96.118.0","10.96.200.135"]}]}"#,
    r#"{"version":"v1","admin":{"name":"stunner/tcp-gateway","loglevel":"all:INFO","healthcheck_endpoint":"http://:8086","offload_engine":"None"},"auth":{"type":"static","realm":"stunner.l7mp.io","credentials":{"password":"pass-1","username":"user-1"}},"listeners":[{"name":"stunner/tcp-gateway/tcp-listener","protocol":"TURN-TCP","public_address":"10.99.0.10","public_port":3478,"address":"$STUNNER_ADDR","port":3478,"routes":["stunner/stunner-headless"]}],"clusters":[{"name":"stunner/stunner-headless","type":"STATIC","protocol":"UDP","endpoints":["10.244.0.12","10.244.0.13","10.96.118.0","10.96.200.135"]}]}"#,
];

#[test]
fn documents_of_the_original_come_back_byte_for_byte() {
    let keep = |name: &str| Some(format!("${name}"));
    for document in REFERENCE {
        assert_eq!(Config::parse(document, &keep).unwrap().to_json(), document);
    }
}

#[test]
fn yaml_is_laid_out_like_the_originals() {
    let keep = |name: &str| Some(format!("${name}"));
    let yaml = Config::parse(REFERENCE[0], &keep).unwrap().to_yaml();
    println!("{yaml}");
    assert_eq!(Config::parse(&yaml, &env::empty).unwrap().listeners[0].address, "0.0.0.0");
}
