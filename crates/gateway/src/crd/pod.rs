//! The parts of pods that a Dataplane has, as far as they matter here.
//!
//! What goes into pods untouched and is deep (affinities, security contexts) is checked by the API server when the
//! workload is written, in the version that it has, and not a second time here.

use serde_json::{Value, json};

use super::{flag, int32, int64, list, map, object, required, text, with};

pub(super) fn dataplane() -> Value {
    let mut properties = shared();
    let secret = required(object("A Secret.", &[("name", text("Name of the Secret."))]), &["name"]);
    properties.extend([
        (
            "imagePullSecrets",
            list("Secrets to pull the image with, in the namespace of the Gateway.", secret),
        ),
        (
            "dataplaneResource",
            with(
                text("What runs the pods."),
                json!({"default": "Deployment", "enum": ["Deployment", "DaemonSet"]}),
            ),
        ),
        ("labels", map("Labels of pods.")),
        ("annotations", map("Annotations of pods.")),
        ("envFrom", list("Sources of environment variables.", open("A source."))),
        ("containerSecurityContext", open("Security of the container.")),
        ("topologySpreadConstraints", list("How pods spread over the cluster.", constraint())),
        ("disableHealthCheck", flag("Serve no health checks and declare no probes.")),
        ("enableMetricsEndpoint", flag("Serve metrics.")),
        (
            "offloadEngine",
            with(
                text("What forwards packets in the kernel."),
                json!({"default": "None", "pattern": "^(None|XDP|TC|Auto)$"}),
            ),
        ),
        (
            "offloadInterfaces",
            list("Network interfaces to do so on; all of them if absent.", json!({"type": "string"})),
        ),
    ]);
    object("", &properties)
}

pub(super) fn dataplane_alpha() -> Value {
    let mut properties = shared();
    properties.push(("healthCheckPort", int32("Ignored.")));
    object("", &properties)
}

fn shared() -> Vec<(&'static str, Value)> {
    let string = json!({"type": "string"});
    vec![
        ("image", text("Container image.")),
        ("imagePullPolicy", text("When to pull the image: Always, IfNotPresent or Never.")),
        ("command", list("Command, instead of stunnerd.", string.clone())),
        ("args", list("Arguments, instead of the usual ones.", string)),
        ("env", list("Environment variables, after those that every dataplane has.", variable())),
        ("replicas", int32("Number of pods; 1 or none leaves it to whoever scales the Deployment.")),
        ("resources", resources()),
        ("terminationGracePeriodSeconds", int64("Seconds that a pod has for calls to end.")),
        ("hostNetwork", flag("Use the network of the node.")),
        ("affinity", open("Where pods go.")),
        ("securityContext", open("Security of the pod.")),
        ("tolerations", list("Taints that pods do not mind.", toleration())),
    ]
}

/// An object whose fields are the API server's business.
fn open(description: &str) -> Value {
    json!({"description": description, "type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn variable() -> Value {
    let properties = [
        ("name", text("Name.")),
        ("value", text("Value.")),
        ("valueFrom", open("Where the value comes from.")),
    ];
    required(object("A variable.", &properties), &["name"])
}

fn resources() -> Value {
    let quantities = |description| {
        let quantity = json!({
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
            "x-kubernetes-int-or-string": true,
        });
        json!({"description": description, "type": "object", "additionalProperties": quantity})
    };
    let claim = object("A claim.", &[("name", text("Name.")), ("request", text("Request of the claim."))]);
    let properties = [
        ("limits", quantities("Most that a pod may use.")),
        ("requests", quantities("What a pod is guaranteed.")),
        ("claims", list("Claims of resources.", required(claim, &["name"]))),
    ];
    object("Resources of the container, instead of the usual ones.", &properties)
}

fn toleration() -> Value {
    let properties = [
        ("key", text("Key of the taint.")),
        ("operator", text("Exists or Equal.")),
        ("value", text("Value of the taint.")),
        ("effect", text("NoSchedule, PreferNoSchedule or NoExecute.")),
        ("tolerationSeconds", int64("Seconds that a pod stays.")),
    ];
    object("A toleration.", &properties)
}

fn constraint() -> Value {
    let properties = [
        ("maxSkew", int32("Most pods that a domain may have more than another.")),
        ("topologyKey", text("Label of nodes that makes the domains.")),
        ("whenUnsatisfiable", text("DoNotSchedule or ScheduleAnyway.")),
        ("labelSelector", open("Pods that count.")),
        (
            "matchLabelKeys",
            list("Labels of the pod that select the pods that count.", json!({"type": "string"})),
        ),
        ("minDomains", int32("Fewest domains.")),
        ("nodeAffinityPolicy", text("Honor or Ignore.")),
        ("nodeTaintsPolicy", text("Honor or Ignore.")),
    ];
    required(object("A constraint.", &properties), &["maxSkew", "topologyKey", "whenUnsatisfiable"])
}
