//! The ConfigMaps of legacy mode: one configuration for all Gateways of a class.

use std::collections::{BTreeMap, btree_map::Entry};

use config::{Cluster, Config, Listener};
use serde_json::json;

use super::{admin::admin, class::Shared, world::World};
use crate::{
    Finding, Mode, Problem, Rendered,
    api::{ConfigMap, GatewayConfig, Key, ObjectRef, Resource},
    names,
};

/// Listeners and clusters of the Gateways of each class.
#[derive(Default)]
pub(super) struct Merged {
    classes: BTreeMap<String, Parts>,
}

/// Listeners by Gateway, clusters by name.
type Parts = (BTreeMap<String, Vec<Listener>>, BTreeMap<String, Cluster>);

impl Merged {
    pub(super) fn add(&mut self, class: &str, config: Config) {
        let (listeners, clusters) = self.classes.entry(class.to_owned()).or_default();
        listeners.insert(config.admin.name, config.listeners);
        clusters.extend(config.clusters.into_iter().map(|cluster| (cluster.name.clone(), cluster)));
    }
}

/// Writes the ConfigMap of every class that could be rendered, also if it has no Gateways.
pub(super) fn render(
    world: &World<'_>,
    classes: &BTreeMap<&str, Result<Shared<'_>, Box<Problem>>>,
    merged: &mut Merged,
    rendered: &mut Rendered,
) {
    if world.settings.mode != Mode::Legacy {
        return;
    }
    for (name, class) in &world.classes {
        let Some(Ok(Shared { parameters, auth })) = classes.get(name) else { continue };
        let (listeners, clusters) = merged.classes.remove(*name).unwrap_or_default();
        let mut problems = Vec::new();
        let config = Config {
            admin: admin(parameters.config, names::LEGACY_INSTANCE.to_owned(), &mut problems),
            auth: auth.clone(),
            listeners: listeners.into_values().flatten().collect(),
            clusters: clusters.into_values().collect(),
            ..Config::default()
        };
        rendered.problems.extend(problems);
        let problem = |finding| Problem::new(ObjectRef::of(class.object), "", finding);
        let config = match config.validate() {
            Ok(config) => config,
            Err(error) => {
                rendered.problems.push(problem(Finding::Unrenderable(error.to_string())));
                continue;
            }
        };
        let owner = &parameters.config.metadata;
        let key = Key::new(&owner.namespace, names::LEGACY_CONFIG_MAP);
        let config_map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "labels": {names::OWNED_BY: names::OWNER},
                "annotations": {names::RELATED_GATEWAY: format!("/{name}")},
                "ownerReferences": [{
                    "apiVersion": GatewayConfig::TYPE.api_version(),
                    "kind": "GatewayConfig",
                    "name": owner.name,
                    "uid": owner.uid,
                }],
            },
            "data": {names::LEGACY_CONFIG_KEY: config.to_json()},
        });
        match rendered.config_maps.entry(key) {
            Entry::Vacant(place) => {
                place.insert(config_map);
            }
            Entry::Occupied(other) => {
                let reference = ObjectRef::to::<ConfigMap>(other.key().clone());
                rendered.problems.push(problem(Finding::NameTaken(reference)));
            }
        }
    }
}
