//! Whether an object is as the operator wants it, when the API server has added defaults and others have added fields.

use gateway::api::is_empty;
use serde_json::{Map, Value, json};

/// Whether `live` has everything that `wanted` has. What is not wanted is not looked at; neither is the difference
/// between empty and absent. Lists must have the same length.
///
/// False means only that it is worth applying `wanted`: the API server also has other spellings of the same value.
pub fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match live.get(key) {
                Some(live) => covers(live, wanted),
                None => is_empty(wanted),
            })
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

/// What to take out of `live` because it is in a place that is the operator's alone, as a merge patch: labels and
/// annotations of a pod template, containers and what they list, ports of a Service. Server-side apply leaves such
/// additions of others where they are. `None` if there is nothing to take out.
pub fn strays(live: &Value, wanted: &Value) -> Option<Value> {
    let mut spec = Map::new();
    if let (Value::Array(ports), Value::Array(wanted)) = (&live["spec"]["ports"], &wanted["spec"]["ports"]) {
        let kept = retain(ports, wanted, &["port", "protocol"]);
        if kept.len() < ports.len() {
            spec.insert("ports".to_owned(), kept.into());
        }
    }
    if let Some(template) = stray_template(&live["spec"]["template"], &wanted["spec"]["template"]) {
        spec.insert("template".to_owned(), template);
    }
    (!spec.is_empty()).then(|| json!({"spec": spec}))
}

fn stray_template(live: &Value, wanted: &Value) -> Option<Value> {
    let mut template = Map::new();
    let mut metadata = Map::new();
    for field in ["labels", "annotations"] {
        if let Some(foreign) = foreign_keys(&live["metadata"][field], &wanted["metadata"][field]) {
            metadata.insert(field.to_owned(), foreign);
        }
    }
    if !metadata.is_empty() {
        template.insert("metadata".to_owned(), metadata.into());
    }
    if let Some(containers) = tidy_containers(&live["spec"]["containers"], &wanted["spec"]["containers"]) {
        template.insert("spec".to_owned(), json!({"containers": containers}));
    }
    (!template.is_empty()).then(|| template.into())
}

/// Nulls for the keys that are not wanted.
fn foreign_keys(live: &Value, wanted: &Value) -> Option<Value> {
    let foreign = live.as_object()?.keys().filter(|key| wanted.get(key.as_str()).is_none());
    let nulls: Map<_, _> = foreign.map(|key| (key.clone(), Value::Null)).collect();
    (!nulls.is_empty()).then(|| nulls.into())
}

/// The wanted ones of the live containers, with the wanted ones of what they list; `None` if that is all of them.
fn tidy_containers(live: &Value, wanted: &Value) -> Option<Vec<Value>> {
    let (live, wanted) = (live.as_array()?, wanted.as_array()?);
    let mut kept = retain(live, wanted, &["name"]);
    for container in &mut kept {
        let Some(wanted) = wanted.iter().find(|wanted| wanted["name"] == container["name"]) else { continue };
        for (field, identity) in [
            ("env", &["name"][..]),
            ("envFrom", &["configMapRef", "secretRef", "prefix"]),
            ("ports", &["containerPort", "protocol"]),
            ("volumeMounts", &["mountPath"]),
        ] {
            let wanted = wanted[field].as_array().map_or(&[][..], Vec::as_slice);
            if let Some(items) = container[field].as_array() {
                container[field] = retain(items, wanted, identity).into();
            } else if let Some(fields) = container.as_object_mut() {
                fields.remove(field);
            }
        }
    }
    let is_less =
        kept.len() < live.len() || kept.iter().zip(live).any(|(kept, live)| !covers_both(kept, live));
    is_less.then_some(kept)
}

fn covers_both(a: &Value, b: &Value) -> bool {
    covers(a, b) && covers(b, a)
}

/// The items that agree with a wanted one in the fields that identify them.
fn retain(live: &[Value], wanted: &[Value], identity: &[&str]) -> Vec<Value> {
    let same = |live: &Value, wanted: &Value| {
        identity.iter().all(|field| {
            // The only field of an identity that has a default.
            let or_tcp = |value: &Value| match &value[*field] {
                Value::Null if *field == "protocol" => Value::from("TCP"),
                other => other.clone(),
            };
            covers_both(&or_tcp(live), &or_tcp(wanted))
        })
    };
    live.iter().filter(|live| wanted.iter().any(|wanted| same(live, wanted))).cloned().collect()
}

/// Whether the operator is on record as having set the number of replicas of a workload.
pub fn owns_replicas(live: &Value) -> bool {
    let managers = live["metadata"]["managedFields"].as_array().map_or(&[][..], Vec::as_slice);
    managers.iter().any(|entry| {
        entry["manager"] == crate::MANAGER && !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null()
    })
}

#[cfg(test)]
mod tests;
