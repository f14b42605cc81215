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
