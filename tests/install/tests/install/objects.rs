//! The page about objects and their fields, which is made from the definitions of kinds. `make manifests` writes it.

use std::fmt::Write as _;

use install::{bless, parse, read};
use serde_json::Value;

const PAGE: &str = "docs/objects.md";

/// Kinds in the order in which people meet them, each with what no definition says.
const KINDS: [(&str, &str); 4] = [
    (
        "gatewayconfigs",
        "Named by `spec.parametersRef` of a GatewayClass. Annotations of Gateways may be written here too; the Gateway's\nown win.",
    ),
    (
        "udproutes",
        "Attached to Gateways by `parentRefs`. Clients may reach the backends of their listener's routes, and nobody else.",
    ),
    (
        "staticservices",
        "A backend of a route that is outside the cluster, or that has no Service. All ports of the prefixes are open, unless\nthe route names some.",
    ),
    (
        "dataplanes",
        "Named by `spec.dataplane` of a GatewayConfig. One for a cluster is usual: `default`, which the chart installs.",
    ),
];

const START: &str = "# Objects

<!-- Made by `make manifests` from deploy/crds: change the definitions, or tests/install/tests/install/objects.rs. -->

The kinds of `stunner.l7mp.io/v1`, with every field. `v1alpha1` is served too where it was. GatewayClass, Gateway and
ReferenceGrant are those of the [Gateway API](https://gateway-api.sigs.k8s.io/); [concepts](concepts.md) says how all of
them fit together. UDPRoute of `gateway.networking.k8s.io/v1alpha2` is understood as well; it has one port where ours has
a range.

`stunner up --dry-run` names fields that do not exist; an API server drops them without a word.
";

#[test]
fn the_page_about_objects_is_made_from_their_definitions() {
    let mut page = START.to_owned();
    for (plural, more) in KINDS {
        let definition = parse(&read(&format!("deploy/crds/stunner.l7mp.io_{plural}.yaml"))).remove(0);
        let versions = definition["spec"]["versions"].as_array().unwrap();
        let schema = &versions.iter().find(|one| one["name"] == "v1").unwrap()["schema"]["openAPIV3Schema"];
        let scope =
            if definition["spec"]["scope"] == "Cluster" { "of the whole cluster" } else { "in a namespace" };
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let description = text(schema, "description");
        write!(page, "\n## {kind}\n\n{description} An object {scope}.\n\n{more}\n\n").unwrap();
        page.push_str("| field of `spec` | type | default | meaning |\n|---|---|---|---|\n");
        rows(&mut page, "", &schema["properties"]["spec"]);
    }
    bless(PAGE, &page);
}

fn text<'v>(schema: &'v Value, key: &str) -> &'v str {
    schema[key].as_str().unwrap_or_default()
}

/// A row for each field, and those of its own fields below it.
fn rows(page: &mut String, prefix: &str, schema: &Value) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            Value::String(text) if text.is_empty() => "empty".to_owned(),
            value => format!("`{}`", value.to_string().trim_matches('"')),
        };
        writeln!(page, "| `{path}` | {} | {default} | {} |", kind(field), meaning(field)).unwrap();
        let (inner, prefix) = match field["items"].as_object() {
            Some(_) => (&field["items"], format!("{path}[].")),
            None => (field, format!("{path}.")),
        };
        // Parts of pods are Kubernetes' own.
        if inner["properties"].is_object() && inner["x-kubernetes-preserve-unknown-fields"] != true {
            rows(page, &prefix, inner);
        }
    }
}

fn kind(schema: &Value) -> String {
    match (text(schema, "type"), text(&schema["items"], "type")) {
        ("array", of) => format!("list of {}s", if of.is_empty() { "object" } else { of }),
        ("object", _) if schema["additionalProperties"]["type"] == "string" => "map of strings".to_owned(),
        ("", _) if schema["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        (of, _) => of.to_owned(),
    }
}

/// The description, and what else is asked for.
fn meaning(schema: &Value) -> String {
    let mut parts = vec![text(schema, "description").replace('\n', " ")];
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> =
            values.iter().map(|value| format!("`{}`", value.to_string().trim_matches('"'))).collect();
        parts.push(format!("One of {}.", values.join(", ")));
    }
    match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
        (Some(least), Some(most)) => parts.push(format!("{least} to {most}.")),
        (Some(least), None) => parts.push(format!("At least {least}.")),
        (None, Some(most)) => parts.push(format!("At most {most}.")),
        (None, None) => {}
    }
    if let Some(most) = schema["maxItems"].as_i64() {
        parts.push(format!("At most {most}."));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ").replace('|', "\\|")
}
