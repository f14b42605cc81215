use serde_json::Value;

use crate::{
    api::{Resource, is_empty, to_value},
    names,
};

/// Paths of the fields below `spec` that the kind does not have, for kinds of ours: most likely they are misspelt.
///
/// Kinds of others have fields that we do not read and that are right all the same.
pub(super) fn fields<R: Resource>(given: &Value, read: &R) -> Vec<String> {
    let mut paths = Vec::new();
    if R::TYPE.group == names::GROUP {
        compare("spec", &given["spec"], &to_value(read)["spec"], &mut paths);
    }
    paths.retain(|path| !WITHOUT_EFFECT.contains(&path.as_str()));
    paths
}

/// Fields of earlier versions, accepted and without effect.
const WITHOUT_EFFECT: [&str; 8] = [
    "spec.stunnerConfig",
    "spec.metricsEndpoint",
    "spec.healthCheckEndpoint",
    "spec.minPort",
    "spec.maxPort",
    "spec.ports",
    "spec.healthCheckPort",
    "spec.useDefaultGateways",
];

/// What was given and has not been written back was not read, unless there was nothing in it.
fn compare(path: &str, given: &Value, read: &Value, paths: &mut Vec<String>) {
    match given {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                match read.get(name) {
                    Some(read) => compare(&path, field, read, paths),
                    None if is_empty(field) => {}
                    None => paths.push(path),
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                compare(&format!("{path}[{at}]"), item, read.get(at).unwrap_or(&Value::Null), paths);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
