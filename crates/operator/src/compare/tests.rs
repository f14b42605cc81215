use serde_json::json;

use super::{covers, strays};

#[test]
fn o02_what_the_api_server_adds_is_no_difference() {
    let wanted = json!({
        "metadata": {"labels": {"a": "b"}, "annotations": {}},
        "spec": {"ports": [{"name": "udp", "port": 1, "protocol": "UDP"}], "type": "LoadBalancer"},
    });
    let live = json!({
        "metadata": {"labels": {"a": "b", "c": "d"}, "uid": "x"},
        "spec": {
            "ports": [{"name": "udp", "port": 1, "protocol": "UDP", "targetPort": 1, "nodePort": 30000}],
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Cluster",
            "allocateLoadBalancerNodePorts": true,
        },
        "status": {},
    });
    assert!(covers(&live, &wanted));
    assert_eq!(strays(&live, &wanted), None);
}

#[test]
fn o04_what_is_reset_is_a_difference() {
    let wanted = json!({"spec": {"ports": [{"port": 1}], "selector": {"app": "stunner"}}});
    for live in [
        json!({"spec": {"ports": [{"port": 2}], "selector": {"app": "stunner"}}}),
        json!({"spec": {"ports": [{"port": 1}, {"port": 2}], "selector": {"app": "stunner"}}}),
        json!({"spec": {"ports": [{"port": 1}], "selector": {"app": "other"}}}),
        json!({"spec": {"ports": [{"port": 1}]}}),
    ] {
        assert!(!covers(&live, &wanted), "{live}");
    }
}

#[test]
fn r17_ports_that_nobody_asked_for_are_taken_out() {
    let wanted = json!({"spec": {"ports": [{"port": 1, "protocol": "UDP"}]}});
    let live = json!({"spec": {"ports": [
        {"port": 1, "protocol": "UDP", "nodePort": 30000},
        {"port": 1, "protocol": "TCP", "nodePort": 30001},
    ]}});
    let patch = json!({"spec": {"ports": [{"port": 1, "protocol": "UDP", "nodePort": 30000}]}});
    assert_eq!(strays(&live, &wanted), Some(patch));
}

#[test]
fn o03_a_pod_template_has_nothing_but_what_is_wanted() {
    let container = json!({
        "name": "stunner-daemon",
        "env": [{"name": "A", "value": "1"}],
        "ports": [{"containerPort": 8080, "name": "metrics-port"}],
    });
    let wanted = json!({"spec": {"template": {
        "metadata": {"labels": {"app": "stunner"}, "annotations": {"x": "y"}},
        "spec": {"containers": [container]},
    }}});
    let mut live = wanted.clone();
    live["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"] = "TCP".into();
    live["spec"]["template"]["spec"]["containers"][0]["terminationMessagePath"] =
        "/dev/termination-log".into();
    live["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst".into();
    assert_eq!(strays(&live, &wanted), None);

    live["spec"]["template"]["metadata"]["annotations"]["restartedAt"] = "now".into();
    let patch = strays(&live, &wanted).unwrap();
    assert_eq!(patch, json!({"spec": {"template": {"metadata": {"annotations": {"restartedAt": null}}}}}));
    live["spec"]["template"]["metadata"]["annotations"].as_object_mut().unwrap().remove("restartedAt");

    let containers = live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers[0]["env"].as_array_mut().unwrap().push(json!({"name": "B", "value": "2"}));
    containers.push(json!({"name": "sidecar", "image": "x"}));
    let patch = strays(&live, &wanted).unwrap();
    let kept = patch["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["env"], json!([{"name": "A", "value": "1"}]));
    assert_eq!(kept[0]["terminationMessagePath"], "/dev/termination-log");
}
