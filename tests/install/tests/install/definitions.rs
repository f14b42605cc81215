//! The definitions of kinds in the chart: copies of `deploy/crds`, of a release of the Gateway API, and a set for older
//! manifests that is made from both. `make manifests` writes what is made.

use gateway::manifest::documents;
use install::{Helm, Objects, bless, parse, read, yaml_files};
use serde_json::{Value, json};

const CHARTS: &str = "deploy/helm/stunner/charts";
const OURS: [&str; 4] = ["dataplanes", "gatewayconfigs", "staticservices", "udproutes"];

fn of_chart(chart: &str, file: &str) -> Value {
    let mut objects = parse(&read(&format!("{CHARTS}/{chart}/crds/{file}")));
    assert_eq!(objects.len(), 1, "{chart}: {file}");
    objects.remove(0)
}

#[test]
fn our_definitions_are_those_of_the_code() {
    for plural in OURS {
        let file = format!("stunner.l7mp.io_{plural}.yaml");
        bless(&format!("{CHARTS}/stunnerCrds/crds/{file}"), &read(&format!("deploy/crds/{file}")));
    }
    assert_eq!(yaml_files("deploy/crds").len(), OURS.len());
}

#[test]
fn those_of_the_gateway_api_are_of_one_release() {
    for (chart, channel) in [("standardCrds", "standard"), ("experimentalCrds", "experimental")] {
        for file in yaml_files(&format!("{CHARTS}/{chart}/crds")) {
            let definition = of_chart(chart, file.file_name().unwrap().to_str().unwrap());
            let annotations = &definition["metadata"]["annotations"];
            assert_eq!(annotations["gateway.networking.k8s.io/bundle-version"], "v1.5.1");
            assert_eq!(annotations["gateway.networking.k8s.io/channel"], channel);
        }
    }
}

#[test]
fn r01_to_r04_the_tutorial_s_definitions_serve_and_print_what_it_shows() {
    for plural in ["dataplanes", "staticservices", "udproutes"] {
        let file = format!("stunner.l7mp.io_{plural}.yaml");
        bless(&format!("{CHARTS}/tutorialCrds/crds/{file}"), &read(&format!("deploy/crds/{file}")));
    }
    let file = "stunner.l7mp.io_gatewayconfigs.yaml";
    keep("tutorialCrds", file, with_columns(of_chart("stunnerCrds", file), &REALM_AND_AUTH));
    for (plural, columns) in [("gateways", &READY[..]), ("gatewayclasses", &CONTROLLER[..])] {
        let file = format!("gateway.networking.k8s.io_{plural}.yaml");
        let definition = serving_v1alpha2(of_chart("experimentalCrds", &file));
        keep("tutorialCrds", &file, with_columns(definition, columns));
    }
    for plural in ["udproutes", "referencegrants"] {
        let file = format!("gateway.networking.k8s.io_{plural}.yaml");
        let mut text = read(&format!("{CHARTS}/experimentalCrds/crds/{file}"));
        if plural == "udproutes" {
            text = with_any_port(&text);
        }
        bless(&format!("{CHARTS}/tutorialCrds/crds/{file}"), &text);
    }
}

#[test]
fn r04_the_tutorial_s_udproutes_come_before_ours() {
    // kubectl takes the first group in the order of the alphabet.
    let groups = ["gateway.networking.k8s.io", "stunner.l7mp.io"];
    assert!(groups.is_sorted());
    for group in groups {
        let definition = of_chart("tutorialCrds", &format!("{group}_udproutes.yaml"));
        assert_eq!(definition["metadata"]["name"], format!("udproutes.{group}"));
    }
}

#[test]
fn each_profile_installs_one_set() {
    let Some(helm) = Helm::find() else { return };
    let installed = |profile: &str| {
        let objects = helm.text(&["--include-crds", &Helm::profile(profile)]);
        let objects = Objects::new(parse(&objects));
        let mut names: Vec<_> =
            objects.of("CustomResourceDefinition").map(|crd| crd["metadata"]["name"].clone()).collect();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{profile} has one twice");
        names.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    for profile in ["managed.yaml", "legacy.yaml"] {
        let names = installed(profile);
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(!names.contains(&"udproutes.gateway.networking.k8s.io".to_owned()));
    }
    let names = installed("tutorial-0.15.yaml");
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(names.contains(&"udproutes.gateway.networking.k8s.io".to_owned()));
}

type Columns = [(&'static str, &'static str, &'static str)];

const AGE: (&str, &str, &str) = ("Age", "date", ".metadata.creationTimestamp");
const REALM_AND_AUTH: [(&str, &str, &str); 3] =
    [("Realm", "string", ".spec.realm"), ("Auth", "string", ".spec.authType"), AGE];
const READY: [(&str, &str, &str); 4] = [
    ("Class", "string", ".spec.gatewayClassName"),
    ("Address", "string", ".status.addresses[*].value"),
    ("Ready", "string", r#".status.conditions[?(@.type=="Ready")].status"#),
    AGE,
];
const CONTROLLER: [(&str, &str, &str); 3] = [
    ("Controller", "string", ".spec.controllerName"),
    ("Accepted", "string", r#".status.conditions[?(@.type=="Accepted")].status"#),
    AGE,
];

/// The definition, printed with these columns in every version.
fn with_columns(mut definition: Value, columns: &Columns) -> Value {
    let columns: Vec<Value> =
        columns.iter().map(|(name, of, path)| json!({"name": name, "type": of, "jsonPath": path})).collect();
    for version in definition["spec"]["versions"].as_array_mut().unwrap() {
        version["additionalPrinterColumns"] = columns.clone().into();
    }
    definition
}

/// The definition of a kind of the Gateway API, served as v1alpha2 too: it has the fields of v1beta1, for the objects
/// are the same. What the older versions say about their fields is left out.
fn serving_v1alpha2(mut definition: Value) -> Value {
    let versions = definition["spec"]["versions"].as_array_mut().unwrap();
    let beta = versions.iter_mut().find(|version| version["name"] == "v1beta1").unwrap();
    without_descriptions(&mut beta["schema"]["openAPIV3Schema"]);
    let mut alpha = beta.clone();
    alpha["name"] = "v1alpha2".into();
    alpha["served"] = true.into();
    alpha["storage"] = false.into();
    versions.push(alpha);
    definition["metadata"]["annotations"]["api-approved.kubernetes.io"] = UNAPPROVED.into();
    definition
}

/// The definition of UDPRoutes without the rule that backends have a port, which is younger than the tutorial.
fn with_any_port(text: &str) -> String {
    let approved = "https://github.com/kubernetes-sigs/gateway-api/pull/4530";
    assert!(text.contains(PORT_RULE) && text.contains(approved));
    text.replace(PORT_RULE, "").replace(approved, UNAPPROVED)
}

const PORT_RULE: &str = "                        x-kubernetes-validations:
                        - message: Must have port for Service reference
                          rule: '(size(self.group) == 0 && self.kind == ''Service'')
                            ? has(self.port) : true'
";

/// The group's name is protected, and this is not what its owners have published.
const UNAPPROVED: &str = "unapproved, made from a release so that older manifests can be applied";

fn without_descriptions(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if fields.get("description").is_some_and(Value::is_string) {
        fields.shift_remove("description");
    }
    for (_, value) in fields.iter_mut() {
        match value {
            Value::Object(_) => without_descriptions(value),
            Value::Array(values) => values.iter_mut().for_each(without_descriptions),
            _ => {}
        }
    }
}

fn keep(chart: &str, file: &str, definition: Value) {
    let text = format!("# Made by `make manifests`.\n---\n{}", documents(&[definition]));
    bless(&format!("{CHARTS}/{chart}/crds/{file}"), &text);
}
