//! What a default installation and the profiles come to.

use install::{CHART, Helm, Objects};
use serde_json::{Value, json};

const PROFILES: [&str; 3] = ["managed.yaml", "legacy.yaml", "tutorial-0.15.yaml"];
const OPERATOR: &str = "stunner-system/stunner-gateway-operator-controller-manager";

#[test]
fn helm_lint_has_nothing_to_say() {
    let Some(helm) = Helm::find() else { return };
    for profile in PROFILES {
        let linted = helm.run(["lint", "--strict", CHART, &Helm::profile(profile)]);
        let said = String::from_utf8_lossy(&linted.stdout).into_owned();
        assert!(linted.status.success(), "{profile}: {said}");
        assert!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{profile}: {said}");
    }
}

#[test]
fn t01_names_and_namespaces_are_those_that_others_look_for() {
    let Some(helm) = Helm::find() else { return };
    let names = helm.template(&[]).names();
    for name in [
        "ClusterRole stunner-gateway-operator-manager-role",
        "ClusterRoleBinding stunner-gateway-operator-manager-rolebinding",
        "Dataplane default",
        "Deployment stunner-system/stunner-auth",
        "Deployment stunner-system/stunner-gateway-operator-controller-manager",
        "Role stunner-system/stunner-gateway-operator-leader-election-role",
        "Service stunner-system/stunner-auth",
        "Service stunner-system/stunner-config-discovery",
        "Service stunner-system/stunner-gateway-operator-controller-manager-metrics-service",
        "ServiceAccount stunner-system/stunner-gateway-operator-controller-manager",
    ] {
        assert!(names.iter().any(|known| known == name), "no {name} in {names:#?}");
    }
}

#[test]
fn t01_names_do_not_depend_on_the_release() {
    let Some(helm) = Helm::find() else { return };
    let other = helm.render("stunner-gateway-operator", &[]);
    let other = Objects::new(install::parse(&String::from_utf8_lossy(&other.stdout)));
    assert_eq!(other.names(), helm.template(&[]).names());
}

#[test]
fn t01_the_authentication_service_is_found_under_its_name_in_every_profile() {
    let Some(helm) = Helm::find() else { return };
    for profile in PROFILES {
        let objects = helm.template(&[&Helm::profile(profile)]);
        let service = objects.get("Service", "stunner-system/stunner-auth");
        let port = &service["spec"]["ports"][0];
        assert_eq!(
            (&port["port"], &port["name"]),
            (&json!(8088), &json!("stunner-auth-server")),
            "{profile}"
        );
        // Behind another name of the same service there has to be one with pods.
        if let Some(other) = service["spec"]["externalName"].as_str() {
            let [name, namespace, ..] = other.split('.').collect::<Vec<_>>()[..] else { panic!("{other}") };
            let target = objects.get("Service", &format!("{namespace}/{name}"));
            assert_eq!(target["spec"]["selector"], json!({"app": "stunner-auth"}));
            objects.get("Deployment", &format!("{namespace}/{name}"));
        }
    }
}

#[test]
fn w12_dataplanes_are_told_a_name_that_outlives_the_operators_pod() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&[]);
    let container = &objects.get("Deployment", OPERATOR)["spec"]["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().unwrap();
    let address = variables.iter().find(|variable| variable["name"] == "STUNNER_GATEWAY_OPERATOR_ADDRESS");
    assert_eq!(address.unwrap()["value"], "stunner-config-discovery.stunner-system.svc.cluster.local");
    let pod = &objects.get("Deployment", OPERATOR)["spec"]["template"]["metadata"]["labels"];
    assert_eq!(pod["stunner.l7mp.io/config-discovery-service"], "enabled", "what tools look for");
}

#[test]
fn a_namespace_in_the_values_moves_everything() {
    let Some(helm) = Helm::find() else { return };
    for object in helm.template(&["--set=namespace=elsewhere"]).iter() {
        let namespace = &object["metadata"]["namespace"];
        assert!(namespace.is_null() || namespace == "elsewhere", "{object}");
    }
}

#[test]
fn managed_is_what_there_is_without_a_profile() {
    let Some(helm) = Helm::find() else { return };
    assert_eq!(helm.text(&[&Helm::profile("managed.yaml")]), helm.text(&[]));
}

#[test]
fn r05_a_profile_brings_the_dataplane_of_older_tutorials() {
    let Some(helm) = Helm::find() else { return };
    for profile in ["legacy.yaml", "tutorial-0.15.yaml"] {
        let objects = helm.template(&[&Helm::profile(profile)]);
        assert!(objects.find("Dataplane", "default").is_none(), "{profile}: nobody would use it");
        objects.get("Namespace", "stunner");
        let template = &objects.get("Deployment", "stunner/stunner")["spec"]["template"];
        assert_eq!(template["metadata"]["labels"]["app"], "stunner");
        let volume = &template["spec"]["volumes"][0]["configMap"];
        assert_eq!(*volume, json!({"name": "stunnerd-config", "optional": true}), "{profile}");
        let arguments = &template["spec"]["containers"][0]["args"];
        let arguments: Vec<_> = arguments.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(arguments.contains(&"--config=/etc/stunnerd/stunnerd.conf"), "{arguments:?}");
        let operator = &objects.get("Deployment", OPERATOR)["spec"]["template"]["spec"]["containers"][0];
        assert!(
            operator["args"].as_array().unwrap().contains(&json!("--dataplane-mode=legacy")),
            "{profile}"
        );
        assert!(objects.find("Service", "stunner/stunner").is_none(), "the tutorial makes it itself");
    }
}

#[test]
fn the_template_of_dataplanes_has_every_field_of_the_values() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&[
        "--set=stunnerGatewayOperator.dataplane.spec.dataplaneResource=DaemonSet",
        "--set=stunnerGatewayOperator.dataplane.spec.offloadEngine=TC",
        "--set=stunnerGatewayOperator.dataplane.spec.offloadInterfaces={eth0}",
        "--set=stunnerGatewayOperator.dataplane.spec.envFrom[0].configMapRef.name=more",
        "--set=stunnerGatewayOperator.dataplane.spec.disableHealthCheck=true",
        "--set=stunnerGatewayOperator.dataplane.spec.enableMetricsEndpoint=true",
        "--set=logging.dataplane.format=json",
        "--set=imageTag=1.2.3",
    ]);
    let spec = &objects.get("Dataplane", "default")["spec"];
    assert_eq!(spec["dataplaneResource"], "DaemonSet");
    assert_eq!((&spec["offloadEngine"], &spec["offloadInterfaces"]), (&json!("TC"), &json!(["eth0"])));
    assert_eq!(spec["envFrom"], json!([{"configMapRef": {"name": "more"}}]));
    assert_eq!((&spec["disableHealthCheck"], &spec["enableMetricsEndpoint"]), (&json!(true), &json!(true)));
    assert_eq!(spec["args"], json!(["-w", "--force-ready-status", "--log-format=json"]));
    assert_eq!(spec["image"], "localhost/stunner/stunnerd:1.2.3");
}

#[test]
fn a_dataplane_on_the_hosts_network_sets_no_sysctl_and_may_read_configurations() {
    let Some(helm) = Helm::find() else { return };
    let sysctls =
        |objects: &Objects| objects.get("Dataplane", "default")["spec"]["securityContext"]["sysctls"].clone();
    let readers =
        |objects: &Objects| objects.get("NetworkPolicy", OPERATOR)["spec"]["ingress"][0]["from"].clone();
    let in_pods = helm.template(&[]);
    assert!(!sysctls(&in_pods).is_null() && !readers(&in_pods).is_null());
    let on_hosts = helm.template(&["--set=stunnerGatewayOperator.dataplane.spec.hostNetwork=true"]);
    assert!(sysctls(&on_hosts).is_null() && readers(&on_hosts).is_null());
}

#[test]
fn every_container_is_confined() {
    let Some(helm) = Helm::find() else { return };
    for profile in PROFILES {
        let objects = helm.template(&[&Helm::profile(profile)]);
        for deployment in objects.of("Deployment") {
            let pod = &deployment["spec"]["template"]["spec"];
            confined(&pod["securityContext"], &pod["containers"][0]["securityContext"]);
        }
        if let Some(dataplane) = objects.find("Dataplane", "default") {
            confined(&dataplane["spec"]["securityContext"], &dataplane["spec"]["containerSecurityContext"]);
        }
    }
}

/// What the Pod Security Standard "restricted" asks for, and a root file system that nobody can write.
fn confined(pod: &Value, container: &Value) {
    assert_eq!((&pod["runAsNonRoot"], &pod["runAsUser"]), (&json!(true), &json!(65532)), "{pod}");
    assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["allowPrivilegeEscalation"], false, "{container}");
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
}

#[test]
fn every_deployment_is_probed_and_survives_a_drained_node() {
    let Some(helm) = Helm::find() else { return };
    for profile in PROFILES {
        let objects = helm.template(&[&Helm::profile(profile)]);
        for deployment in objects.of("Deployment") {
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            for probe in ["livenessProbe", "readinessProbe"] {
                assert!(container[probe]["httpGet"]["path"].is_string(), "{profile}: {deployment}");
            }
            let selector = &deployment["spec"]["selector"];
            let namespace = &deployment["metadata"]["namespace"];
            let budget = objects.of("PodDisruptionBudget").find(|budget| {
                budget["spec"]["selector"] == *selector && budget["metadata"]["namespace"] == *namespace
            });
            assert_eq!(budget.unwrap()["spec"]["maxUnavailable"], 1, "the only replica may go too");
        }
    }
}

#[test]
fn w14_only_dataplanes_and_the_authentication_service_get_at_configurations() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&[]);
    let ingress = &objects.get("NetworkPolicy", OPERATOR)["spec"]["ingress"];
    assert_eq!(
        ingress[0],
        json!({
            "ports": [{"port": 13478, "protocol": "TCP"}],
            "from": [
                {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "stunner"}}},
                {"podSelector": {"matchLabels": {"app": "stunner-auth"}}},
            ],
        })
    );
}

#[test]
fn what_is_switched_off_is_not_there() {
    let Some(helm) = Helm::find() else { return };
    let names = helm
        .template(&[
            "--set=stunnerAuthService.enabled=false",
            "--set=networkPolicy.enabled=false",
            "--set=podDisruptionBudget.enabled=false",
        ])
        .names();
    for gone in ["stunner-auth", "NetworkPolicy", "PodDisruptionBudget"] {
        assert!(!names.iter().any(|name| name.contains(gone)), "{gone} in {names:#?}");
    }
}
