//! The schema of the values: a misspelt or senseless one is refused before anything is installed.

use install::{Helm, read};
use serde_json::Value;

/// A value that makes no sense, and what Helm's complaint has to name.
const SENSELESS: &[(&str, &str)] = &[
    ("stunnerGatewayOperator.dataplane.mode=unmanaged", "/stunnerGatewayOperator/dataplane/mode"),
    ("stunnerGatewayOperator.dataplane.spec.offloadEngine=eBPF", "/offloadEngine"),
    ("stunnerGatewayOperator.dataplane.spec.dataplaneResource=StatefulSet", "/dataplaneResource"),
    ("stunnerGatewayOperator.dataplane.spec.replicas=-1", "/replicas"),
    ("stunnerGatewayOperator.dataplane.spec.hostnetwork=true", "hostnetwork"),
    ("stunnerGatewayOperator.controllerName=mine", "/controllerName"),
    ("logging.operator.format=xml", "/logging/operator/format"),
    ("logging.operator.level=loud", "/logging/operator/level"),
    ("logging.authService.level=DEBUG", "/logging/authService/level"),
    ("imagePullPolicy=Sometimes", "/imagePullPolicy"),
    ("imageRegistry=localhost/stunner/", "/imageRegistry"),
    ("namespace=Not_A_Name", "/namespace"),
    ("podDisruptionBudget.maxUnavailable=0", "/podDisruptionBudget/maxUnavailable"),
    ("monitoring.podMonitor.interval=often", "/monitoring/podMonitor/interval"),
    ("stunnerAuthService.deployments.replicas=2", "deployments"),
    ("authService.enabled=false", "authService"),
];

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let Some(helm) = Helm::find() else { return };
    for (value, named) in SENSELESS {
        let said = helm.refusal(&[&format!("--set={value}")]);
        let said = said.replace('.', "/");
        assert!(said.contains(&named.replace('.', "/")), "{value}: {said}");
    }
}

#[test]
fn two_sets_of_definitions_of_one_group_are_refused() {
    let Some(helm) = Helm::find() else { return };
    for second in ["experimentalCrds", "tutorialCrds"] {
        helm.refusal(&[&format!("--set={second}.enabled=true")]);
    }
    helm.template(&["--set=standardCrds.enabled=false,experimentalCrds.enabled=true"]);
}

#[test]
fn a_dataplane_of_ones_own_in_managed_mode_is_refused() {
    let Some(helm) = Helm::find() else { return };
    let said = helm.refusal(&["--set=legacyDataplane.enabled=true"]);
    assert!(said.contains("dataplane.mode=legacy"), "{said}");
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let values = install::parse(&read("deploy/helm/stunner/values.yaml")).remove(0);
    let schema: Value = serde_json::from_str(&read("deploy/helm/stunner/values.schema.json")).unwrap();
    compare(&values, &schema, &schema["definitions"], "");
}

/// Each object of the values has the fields of its schema, but for those that have no default.
fn compare(values: &Value, schema: &Value, definitions: &Value, path: &str) {
    const WITHOUT_DEFAULT: [&str; 3] = ["global", "name", "claims"];
    let schema = match schema["$ref"].as_str() {
        Some(reference) => &definitions[reference.trim_start_matches("#/definitions/")],
        None => schema,
    };
    let (Some(values), Some(properties)) = (values.as_object(), schema["properties"].as_object()) else {
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
    for (key, value) in values {
        let property = properties.get(key).unwrap_or_else(|| panic!("{path}/{key} is in no schema"));
        compare(value, property, definitions, &format!("{path}/{key}"));
    }
    for key in properties.keys().filter(|key| !WITHOUT_DEFAULT.contains(&key.as_str())) {
        assert!(values.contains_key(key), "{path}/{key} has no default");
    }
}
