//! What the annotations of a Gateway, or of its GatewayConfig, ask for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    Finding, Problem, Settings,
    api::{Gateway, GatewayConfig, ObjectRef},
};

/// The annotations that count for a Gateway: those that its GatewayConfig gives all Services, overridden by its own.
pub(super) struct Annotations {
    /// All of them, also those that mean nothing to us.
    pub(super) all: BTreeMap<String, String>,
    gateway: ObjectRef,
}

impl Annotations {
    pub(super) fn new(settings: &Settings, config: &GatewayConfig, gateway: &Gateway) -> Self {
        let mut all = config.spec.load_balancer_service_annotations.clone();
        all.extend(own(settings, gateway));
        Self { all, gateway: ObjectRef::of(gateway) }
    }

    /// Only the Gateway's own.
    pub(super) fn of_gateway(settings: &Settings, gateway: &Gateway) -> Self {
        Self { all: own(settings, gateway), gateway: ObjectRef::of(gateway) }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.all.get(key).map(String::as_str)
    }

    /// Whether the annotation is `true`.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(is_true)
    }

    /// A map from listener to port, without the entries that are no ports.
    pub(super) fn ports(&self, key: &'static str, problems: &mut Vec<Problem>) -> BTreeMap<String, u16> {
        let mut bad = |reason| problems.push(self.bad(key, reason));
        match parse_ports(self.get(key).unwrap_or_default()) {
            Ok(numbers) => {
                let total = numbers.len();
                let port =
                    |(name, number)| Some((name, u16::try_from(number).ok().filter(|port| *port > 0)?));
                let ports: BTreeMap<_, _> = numbers.into_iter().filter_map(port).collect();
                if ports.len() < total {
                    bad("has numbers that are not ports");
                }
                ports
            }
            Err(reason) => {
                bad(reason);
                BTreeMap::new()
            }
        }
    }

    pub(super) fn bad(&self, key: &str, reason: &'static str) -> Problem {
        let value = self.get(key).unwrap_or_default().to_owned();
        let field = format!("metadata.annotations[{key}]");
        Problem::new(self.gateway.clone(), field, Finding::BadAnnotation { value, reason })
    }
}

/// The Gateway's own annotations without those of whoever applied it.
pub(super) fn own(settings: &Settings, gateway: &Gateway) -> BTreeMap<String, String> {
    let annotations = gateway.metadata.annotations.iter();
    let kept = annotations.filter(|(key, _)| !settings.annotation_filter.contains(*key));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Whether an annotation says `true`, in any capitalisation.
pub(super) fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

/// Reads a JSON object of integers, with or without its braces.
fn parse_ports(text: &str) -> Result<BTreeMap<String, i64>, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let object = if text.starts_with('{') { text.to_owned() } else { format!("{{{text}}}") };
    let map: BTreeMap<String, Value> =
        serde_json::from_str(&object).map_err(|_| "is not a JSON object such as {\"listener\": 3478}")?;
    let integer = |number: Value| number.as_i64().ok_or("has values that are not integers");
    map.into_iter().map(|(name, number)| Ok((name, integer(number)?))).collect()
}
