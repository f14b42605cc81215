use std::borrow::Cow;

use config::Auth;

use super::world::fatal;
use crate::{
    Finding, Mode, Problem, Settings, Snapshot,
    api::{
        Dataplane, DataplaneSpec, GatewayClass, GatewayClassStatus, GatewayConfig, Key, ObjectRef,
        SupportedFeature, Truth,
    },
    condition, names,
};

/// A GatewayClass of ours.
pub(super) struct Class<'a> {
    pub(super) object: &'a GatewayClass,
    /// What Gateways of the class share, or why it is not known.
    pub(super) parameters: Result<Parameters<'a>, Box<Problem>>,
}

/// What Gateways of a class share.
pub(super) struct Parameters<'a> {
    pub(super) config: &'a GatewayConfig,
    /// Template of the workload; its defaults in legacy mode, where there is none.
    pub(super) dataplane: Cow<'a, DataplaneSpec>,
}

/// What it takes to render Gateways of a class.
pub(super) struct Shared<'w> {
    pub(super) parameters: &'w Parameters<'w>,
    pub(super) auth: Auth,
}

impl Parameters<'_> {
    /// The template that the GatewayConfig names.
    pub(super) fn dataplane_ref(&self) -> ObjectRef {
        ObjectRef::to::<Dataplane>(Key::cluster(dataplane_name(self.config)))
    }
}

pub(super) fn read<'a>(snapshot: &'a Snapshot, settings: &Settings, object: &'a GatewayClass) -> Class<'a> {
    Class { object, parameters: parameters(snapshot, settings, object) }
}

fn parameters<'a>(
    snapshot: &'a Snapshot,
    settings: &Settings,
    class: &'a GatewayClass,
) -> Result<Parameters<'a>, Box<Problem>> {
    let wrong = |finding| fatal(class, "spec.parametersRef", finding);
    let reference = class.spec.parameters_ref.as_ref().ok_or_else(|| wrong(Finding::NoParameters))?;
    if reference.group != names::GROUP || reference.kind != "GatewayConfig" {
        let (group, kind) = (reference.group.clone(), reference.kind.clone());
        return Err(wrong(Finding::ForeignParameters { group, kind }));
    }
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    if namespace.is_empty() || reference.name.is_empty() {
        return Err(wrong(Finding::UnnamedParameters));
    }
    let key = Key::new(namespace, &reference.name);
    let Some(config) = snapshot.gateway_configs.get(&key) else {
        return Err(wrong(Finding::MissingGatewayConfig(key)));
    };
    let dataplane = match settings.mode {
        Mode::Legacy => Cow::default(),
        Mode::Managed => dataplane(snapshot, settings, config)?,
    };
    Ok(Parameters { config, dataplane })
}

fn dataplane<'a>(
    snapshot: &'a Snapshot,
    settings: &Settings,
    config: &GatewayConfig,
) -> Result<Cow<'a, DataplaneSpec>, Box<Problem>> {
    let name = dataplane_name(config);
    match snapshot.dataplanes.get(&Key::cluster(name)) {
        Some(dataplane) => Ok(Cow::Borrowed(&dataplane.spec)),
        None if settings.dataplane_optional => Ok(Cow::default()),
        None => Err(fatal(config, "spec.dataplane", Finding::MissingDataplane(name.to_owned()))),
    }
}

fn dataplane_name(config: &GatewayConfig) -> &str {
    config.spec.dataplane.as_deref().unwrap_or(names::DEFAULT_DATAPLANE)
}

pub(super) fn status(class: &Class<'_>, settings: &Settings) -> GatewayClassStatus {
    let controller = &settings.controller_name;
    let (truth, reason, message) = match &class.parameters {
        Ok(_) => (Truth::True, "Accepted", format!("managed by controller {controller:?}")),
        Err(problem) => (
            Truth::False,
            "InvalidParameters",
            format!("controller {controller:?} cannot use the class: {problem}"),
        ),
    };
    GatewayClassStatus {
        conditions: vec![condition::new(&class.object.metadata, condition::ACCEPTED, truth, reason, message)],
        supported_features: features(settings),
    }
}

/// Names of what there is, in the order of the alphabet.
fn features(settings: &Settings) -> Vec<SupportedFeature> {
    let names = [("Gateway", true), ("ReferenceGrant", settings.reference_grants), ("UDPRoute", true)];
    let supported =
        names.into_iter().filter(|(_, is_supported)| settings.supported_features && *is_supported);
    supported.map(|(name, _)| SupportedFeature { name: name.to_owned() }).collect()
}
