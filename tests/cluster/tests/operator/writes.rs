//! What is written, what is left alone, and what happens if the API server does not take it.

use serde_json::{Value, json};

use crate::fixture::{
    CLASS, DATAPLANE, DEPLOYMENT, GATEWAY, ROUTE, ROUTE_AND_BACKEND, SERVICE, UDP, World, condition, ours,
};

#[test]
fn o05_pod_fields_that_nobody_asked_for_stay_as_they_were_set() {
    let Some(world) = World::start("o05", &[]) else { return };
    let reference = world.at(DEPLOYMENT, "gateway-1");
    world.api.await_object(&reference, "there", |_| true);
    let toleration = json!([{"key": "media", "operator": "Exists"}]);
    let edit =
        json!({"tolerations": toleration, "priorityClassName": "", "securityContext": {"runAsUser": 1000}});
    let edited = world.api.patch(&reference, json!({"spec": {"template": {"spec": edit}}}));
    world.await_idle();
    let now = world.api.get(&reference);
    assert_eq!(now["metadata"]["resourceVersion"], edited["metadata"]["resourceVersion"], "nothing to write");
    // Something else changes, and they are still there.
    world.api.patch(&format!("{DATAPLANE} o05"), json!({"spec": {"image": "testimage-2"}}));
    let after = world.api.await_object(&reference, "the new image", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "testimage-2"
    });
    let (before, now) = (&edited["spec"]["template"]["spec"], &after["spec"]["template"]["spec"]);
    assert_eq!(
        (&now["tolerations"], &now["securityContext"]),
        (&before["tolerations"], &before["securityContext"])
    );
    // Asked for, they are the template's.
    world.api.patch(&format!("{DATAPLANE} o05"), json!({"spec": {"tolerations": []}}));
    world.api.await_object(&reference, "no tolerations", |deployment| {
        deployment["spec"]["template"]["spec"]["tolerations"].as_array().is_none_or(Vec::is_empty)
    });
}

#[test]
fn o04_what_the_cluster_chose_for_a_service_survives() {
    let Some(world) = World::start("o04", &[]) else { return };
    let reference = world.at(SERVICE, "gateway-1");
    let created = world.api.await_object(&reference, "there", |_| true);
    world.api.patch(
        &reference,
        json!({"spec": {"loadBalancerSourceRanges": ["10.0.0.0/8"], "loadBalancerIP": "192.0.2.9"}}),
    );
    // R17, R18: a port and an annotation that somebody else put there.
    let mut ports = created["spec"]["ports"].as_array().unwrap().clone();
    ports.push(json!({"name": "foreign", "port": 99, "protocol": "UDP"}));
    let annotation = json!({ours("service-type"): "ClusterIP"});
    world.api.patch(&reference, json!({"metadata": {"annotations": annotation}, "spec": {"ports": ports}}));
    let after = world.api.await_object(&reference, "its own ports", |service| {
        service["spec"]["ports"] == created["spec"]["ports"]
    });
    assert_eq!(after["spec"]["type"], "LoadBalancer");
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "allocateLoadBalancerNodePorts"]
    {
        assert_eq!(after["spec"][field], created["spec"][field], "{field}");
    }
    assert_eq!(after["spec"]["loadBalancerSourceRanges"], json!(["10.0.0.0/8"]));
    assert_eq!(after["spec"]["loadBalancerIP"], "192.0.2.9");
}

#[test]
fn o04_the_class_of_a_load_balancer_survives() {
    let Some(mut world) = World::start("o04-class", &[]) else { return };
    let reference = world.at(SERVICE, "gateway-1");
    world.api.await_object(&reference, "there", |_| true);
    world.await_idle();
    // A class can be chosen only with the type, and nobody is to choose that anew meanwhile.
    assert!(world.operator.take().unwrap().stop().success());
    world.api.patch(&reference, json!({"spec": {"type": "ClusterIP"}}));
    let class = "example.com/load-balancer";
    let chosen =
        world.api.patch(&reference, json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": class}}));
    assert_eq!(chosen["spec"]["loadBalancerClass"], class);
    world.start_operator();
    world.await_idle();
    let now = world.api.get(&reference);
    assert_eq!(now["spec"], chosen["spec"]);
    // Something else changes, and it is still there.
    world.annotate(GATEWAY, "gateway-1", "some", Some("change"));
    let after = world.api.await_object(&reference, "the annotation", |service| {
        service["metadata"]["annotations"]["some"] == "change"
    });
    assert_eq!(after["spec"]["loadBalancerClass"], class);
    assert_eq!(after["spec"]["type"], "LoadBalancer");
}

#[test]
fn o07_and_w10_a_condition_keeps_its_time_and_others_keep_theirs() {
    let Some(world) = World::start("o07", &[]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    let reference = world.at(ROUTE, "udproute-ok");
    let accepted = |route: &Value| {
        let conditions = route["status"]["parents"].as_array().into_iter().flatten();
        conditions
            .filter(|parent| parent["controllerName"] == "example.com/o07")
            .any(|parent| condition(&parent["conditions"], "ResolvedRefs").0 == "True")
    };
    let before = world.api.await_object(&reference, "accepted", accepted);
    let time = |route: &Value, kind: &str| {
        let parents = route["status"]["parents"].as_array().unwrap();
        let ours = parents.iter().find(|parent| parent["controllerName"] == "example.com/o07").unwrap();
        let one = ours["conditions"].as_array().unwrap().iter().find(|one| one["type"] == kind).unwrap();
        one["lastTransitionTime"].clone()
    };
    // Another controller has something to say about the same route.
    let mut parents = before["status"]["parents"].as_array().unwrap().clone();
    let mut other = parents[0].clone();
    other["controllerName"] = "example.com/other".into();
    parents.push(other.clone());
    world.api.patch_status(&reference, &json!({ "parents": parents }));
    // One of our conditions changes its mind; the other one, and the other controller, keep theirs.
    world.api.patch(&reference, json!({"spec": {"rules": [{"backendRefs": [{"name": "nobody"}]}]}}));
    let after = world.api.await_object(&reference, "unresolved", |route| {
        route["status"]["parents"].as_array().into_iter().flatten().any(|parent| {
            parent["controllerName"] == "example.com/o07"
                && condition(&parent["conditions"], "ResolvedRefs").0 == "False"
        })
    });
    assert_eq!(time(&after, "Accepted"), time(&before, "Accepted"));
    assert!(after["status"]["parents"].as_array().unwrap().contains(&other));
    // W11: a route that loses its last Gateway loses what was said about it, and nothing else.
    world.api.patch(&reference, json!({"spec": {"parentRefs": [{"name": "somebody-elses"}]}}));
    world
        .api
        .await_object(&reference, "only the other's", |route| route["status"]["parents"] == json!([other]));
}

#[test]
fn w03_what_belongs_to_somebody_else_is_left_alone() {
    let Some(mut world) = World::without_operator("w03", &[]) else { return };
    world.apply("{apiVersion: v1, kind: Service, metadata: {name: gateway-1, namespace: NAME}, spec: {ports: [{port: 80}]}}");
    let before = world.api.get(&world.at(SERVICE, "gateway-1"));
    world.start_operator();
    world.api.await_object(&world.gateway(), "told so", |gateway| {
        condition(&gateway["status"]["conditions"], "Programmed") == ("False", "Invalid")
    });
    world.await_idle();
    let after = world.api.get(&world.at(SERVICE, "gateway-1"));
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    // Out of the way, it is made.
    world.api.delete(&world.at(SERVICE, "gateway-1"));
    world.api.await_object(&world.at(SERVICE, "gateway-1"), "ours", |service| {
        service["metadata"]["labels"][ours("owned-by")] == "stunner"
    });
}

#[test]
fn w08_a_write_that_is_refused_is_told_and_tried_again() {
    let Some(world) = World::start("w08", &[]) else { return };
    world.api.await_object(&world.at(SERVICE, "gateway-1"), "there", |_| true);
    // A node port out of the range of the cluster.
    world.annotate(GATEWAY, "gateway-1", &ours("nodeport"), Some(&format!("{{\"{UDP}\":1}}")));
    let gateway = world.api.await_object(&world.gateway(), "told so", |gateway| {
        condition(&gateway["status"]["conditions"], "Programmed") == ("False", "Invalid")
    });
    assert!(gateway["status"]["conditions"].to_string().contains("provided port is not in the valid range"));
    let deadline = kit::Deadline::default();
    let told = || {
        let events = world.api.list("events.k8s.io/v1/Event w08/");
        events
            .iter()
            .any(|event| event["reason"] == "NotWritten" && event["regarding"]["name"] == "gateway-1")
    };
    while !told() {
        assert!(deadline.left().is_some(), "no Event");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    world.annotate(GATEWAY, "gateway-1", &ours("nodeport"), None);
    world.api.await_object(&world.gateway(), "well again", |gateway| {
        condition(&gateway["status"]["conditions"], "Programmed").1 != "Invalid"
    });
    world.await_idle();
}

#[test]
fn w11_two_operators_in_one_cluster_leave_each_other_alone() {
    let Some(world) = World::start("w11", &[]) else { return };
    let deployment = world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    world.await_idle();
    let mut other = World::without_operator("w11-other", &[]).expect("the server was there before");
    other.start_operator();
    other.api.await_object(&other.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    other.await_idle();
    let after = world.api.get(&world.at(DEPLOYMENT, "gateway-1"));
    assert_eq!(after["metadata"]["resourceVersion"], deployment["metadata"]["resourceVersion"]);
    // A Gateway that is handed over is made anew by the one who gets it.
    world.api.patch(&world.gateway(), json!({"spec": {"gatewayClassName": "w11-other"}}));
    other.discovery().await_config("w11/gateway-1", "served by the other", |_| true);
    let owner = world.api.get(&world.gateway());
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "still or again there", |deployment| {
        deployment["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    });
    assert!(world.api.find(&format!("{CLASS} w11")).is_some());
}
