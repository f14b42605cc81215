//! The operator's permissions: what it needs and no more.

use std::collections::BTreeSet;

use install::{Helm, Objects, parse, read};
use serde_json::{Value, json};

const ROLE: &str = "stunner-gateway-operator-manager-role";
const READ: [&str; 3] = ["get", "list", "watch"];

/// Verbs that a role grants on a resource, such as `apps/deployments`.
fn verbs(role: &Value, resource: &str) -> Vec<String> {
    let (group, resource) = resource.split_once('/').unwrap();
    let rules = role["rules"].as_array().unwrap().iter();
    let matching = rules.filter(|rule| {
        rule["apiGroups"].as_array().unwrap().contains(&json!(group))
            && rule["resources"].as_array().unwrap().contains(&json!(resource))
    });
    let verbs = matching.flat_map(|rule| rule["verbs"].as_array().unwrap());
    verbs.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn nothing_is_granted_by_wildcard_and_secrets_are_only_read() {
    let Some(helm) = Helm::find() else { return };
    for profile in ["managed.yaml", "legacy.yaml"] {
        let objects = helm.template(&[&Helm::profile(profile)]);
        let role = objects.get("ClusterRole", ROLE);
        assert!(!role.to_string().contains('*'), "{role}");
        assert_eq!(verbs(role, "/secrets"), READ);
        for read_only in ["gateway.networking.k8s.io/gateways", "stunner.l7mp.io/gatewayconfigs", "/nodes"] {
            assert_eq!(verbs(role, read_only), READ, "{profile}: {read_only}");
        }
    }
}

#[test]
fn each_mode_may_write_only_what_it_creates() {
    let Some(helm) = Helm::find() else { return };
    let writes = |profile: &str, resource: &str| {
        let objects = helm.template(&[&Helm::profile(profile)]);
        verbs(objects.get("ClusterRole", ROLE), resource).iter().any(|verb| verb == "create")
    };
    for (profile, workloads) in [("managed.yaml", true), ("legacy.yaml", false)] {
        assert!(writes(profile, "/services"));
        assert_eq!(writes(profile, "apps/deployments"), workloads, "{profile}");
        assert_eq!(writes(profile, "apps/daemonsets"), workloads, "{profile}");
        assert_eq!(writes(profile, "/configmaps"), !workloads, "{profile}");
    }
}

/// All that a role grants, as `group/resource: verb`.
fn grants(role: &Value) -> BTreeSet<String> {
    let texts =
        |list: &Value| list.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let mut grants = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let [groups, resources, verbs]: [Vec<String>; 3] =
            ["apiGroups", "resources", "verbs"].map(|key| texts(&rule[key]));
        for (group, resource) in
            groups.iter().flat_map(|group| resources.iter().map(move |resource| (group, resource)))
        {
            grants.extend(verbs.iter().map(|verb| format!("{group}/{resource}: {verb}")));
        }
    }
    grants
}

/// The operator is tested on a real API server with the rights of `deploy/rbac.yaml`.
#[test]
fn both_modes_together_have_the_rights_that_the_operator_is_tested_with() {
    let Some(helm) = Helm::find() else { return };
    let with = "--set=stunnerGatewayOperator.referenceGrants=true,stunnerGatewayOperator.configDiscovery.checkTokens=true";
    let granted = ["managed.yaml", "legacy.yaml"].map(|profile| {
        let objects = helm.template(&[&Helm::profile(profile), with]);
        grants(objects.get("ClusterRole", ROLE))
    });
    let tested = Objects::new(parse(&read("deploy/rbac.yaml")));
    let tested = grants(tested.get("ClusterRole", ROLE));
    assert_eq!(granted.into_iter().flatten().collect::<BTreeSet<_>>(), tested);
}

#[test]
fn the_authentication_service_and_the_dataplane_have_no_token() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&[&Helm::profile("legacy.yaml")]);
    for deployment in ["stunner/stunner-auth", "stunner/stunner"] {
        let pod = &objects.get("Deployment", deployment)["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false, "{deployment}");
    }
}

#[test]
fn bindings_name_the_account_of_the_deployment() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&[]);
    let operator = objects.get("Deployment", "stunner-system/stunner-gateway-operator-controller-manager");
    let account = &operator["spec"]["template"]["spec"]["serviceAccountName"];
    for binding in objects.of("ClusterRoleBinding").chain(objects.of("RoleBinding")) {
        assert_eq!(binding["subjects"][0]["name"], *account);
        assert_eq!(binding["subjects"][0]["namespace"], "stunner-system");
    }
}

#[test]
fn protected_config_discovery_reaches_operator_and_authentication_service() {
    let Some(helm) = Helm::find() else { return };
    let discovery = "stunnerGatewayOperator.configDiscovery";
    let objects =
        helm.template(&[&format!("--set={discovery}.tlsSecret=discovery-tls,{discovery}.checkTokens=true")]);
    let pod = |deployment: &str| {
        objects.get("Deployment", &format!("stunner-system/{deployment}"))["spec"]["template"]["spec"].clone()
    };
    let (operator, auth) = (pod("stunner-gateway-operator-controller-manager"), pod("stunner-auth"));
    for (pod, argument) in [
        (&operator, "--config-discovery-tls-cert=/etc/stunner/tls/tls.crt"),
        (&operator, "--config-discovery-check-tokens=true"),
        (&auth, "--cds-ca=/etc/stunner/tls/ca.crt"),
        (&auth, "--cds-token-file=/var/run/secrets/stunner.l7mp.io/config-discovery/token"),
    ] {
        let arguments = pod["containers"][0]["args"].as_array().unwrap();
        assert!(arguments.contains(&json!(argument)), "{argument}: {arguments:?}");
        let mounted: Vec<_> = pod["containers"][0]["volumeMounts"].as_array().unwrap().iter().collect();
        let volumes: Vec<_> =
            pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
        assert!(mounted.iter().all(|mount| volumes.contains(&&mount["name"])), "{pod}");
    }
    assert_eq!(auth["volumes"][0]["secret"]["items"], json!([{"key": "ca.crt", "path": "ca.crt"}]), "no key");
    let reader = objects.get("ClusterRole", "stunner-config-reader");
    assert_eq!(verbs(reader, "stunner.l7mp.io/configs"), ["get", "list"]);
    let binding = objects.get("ClusterRoleBinding", "stunner-auth-config-reader");
    assert_eq!(binding["subjects"][0]["name"], "stunner-auth");
    let without = helm.template(&[]);
    assert!(without.of("ClusterRole").all(|role| role["metadata"]["name"] != "stunner-config-reader"));
}
