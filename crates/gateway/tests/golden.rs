//! Directories of YAML in, YAML out.
//!
//! `tests/golden/CASE/in/*.yaml` are the objects, `CASE/case.yaml` says what the case shows and how it is rendered, and
//! `CASE/out/*.yaml` is what has to come out. `make bless` (or `BLESS=1`) writes the latter anew; read the diff.

mod golden_case;

use golden_case::Case;

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            Case::load(stringify!($name)).check();
        })*

        /// A directory that nobody looks at is not a test.
        #[test]
        fn every_directory_is_a_case() {
            assert_eq!(golden_case::directories(), [$(stringify!($name)),*]);
        }
    };
}

cases! {
    c06_premium
    d03_udp_gateway_deleted
    d04_backend_wrong
    d04_route_missing
    h01_one_host_ports
    h02_one_host_stale
    l01_legacy
    l03_endpoints
    l03_no_cluster_ip
    l11_legacy_no_secret
    m24_other_workload
    r01_class_invalid
    r03_admin
    r04_auth_inline
    r04_auth_ref
    r05_listeners
    r06_certificates
    r07_port_conflicts
    r08_attachment
    r08_masking
    r09_route_status
    r10_backends
    r10_dns
    r10_port_ranges
    r12_node_address
    r12_node_name
    r13_public_address
    r14_service_ports
    r14_service_ports_config
    r15_health_port
    r16_service_type
    r17_port_annotations
    r18_service_annotations
    r19_workload
    r19_workload_template
    r20_two_classes
    r21_no_class
    r21_no_gateway_config
    r21_no_secret
    t05_one_host
    t06_one_host_v1alpha2
    t06_tutorial_current
    t07_tutorial_running
    t08_tutorial_v1alpha2
    w03_name_taken
    w11_foreign_class
    w16_reference_grants
    w23_long_names
    x01_manifest
    x02_hostile_values
    z01_finalize
}

/// What the discovery service of the original answered for the same objects.
#[test]
fn t07_configurations_are_byte_for_byte_those_of_the_original() {
    let served = |gateway: &str, protocol: &str, address: &str| {
        format!(
            r#"{{"version":"v1","admin":{{"name":"stunner/{gateway}-gateway","loglevel":"all:INFO","healthcheck_endpoint":"http://:8086","offload_engine":"None"}},"auth":{{"type":"static","realm":"stunner.l7mp.io","credentials":{{"password":"pass-1","username":"user-1"}}}},"listeners":[{{"name":"stunner/{gateway}-gateway/{gateway}-listener","protocol":"{protocol}","public_address":"{address}","public_port":3478,"address":"$STUNNER_ADDR","port":3478,"routes":["stunner/stunner-headless"]}}],"clusters":[{{"name":"stunner/stunner-headless","type":"STATIC","protocol":"UDP","endpoints":["10.244.0.12","10.244.0.13","10.96.118.0","10.96.200.135"]}}]}}"#
        )
    };
    let rendered = Case::load("t07_tutorial_running").rendered();
    assert_eq!(rendered.configs["stunner/udp-gateway"].to_json(), served("udp", "TURN-UDP", "10.99.0.11"));
    assert_eq!(rendered.configs["stunner/tcp-gateway"].to_json(), served("tcp", "TURN-TCP", "10.99.0.10"));
}
