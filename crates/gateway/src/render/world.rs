use std::collections::BTreeMap;

use super::class::{self, Class};
use crate::{
    Finding, Problem, Settings, Snapshot,
    api::{EndpointSlice, Gateway, GatewayClass, Key, Metadata, ObjectRef, Resource, Service},
    names,
};

/// The snapshot with the cross references that the rules ask for, so that no rule has to search.
pub(super) struct World<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) settings: &'a Settings,
    /// GatewayClasses of ours, by name.
    pub(super) classes: BTreeMap<&'a str, Class<'a>>,
    /// EndpointSlices by the key of their Service.
    slices: BTreeMap<Key, Vec<&'a EndpointSlice>>,
    /// Services by what their annotation says about the Gateway they expose.
    exposures: BTreeMap<&'a str, Vec<&'a Service>>,
}

/// Whose Gateway it is.
pub(super) enum Owner<'w, 'a> {
    /// Its class is one of ours.
    Ours(&'w Class<'a>),
    /// Its class is somebody else's.
    Foreign,
    /// Its class does not exist.
    Nobody,
}

impl<'a> World<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, settings: &'a Settings) -> Self {
        let ours = |class: &&GatewayClass| class.spec.controller_name == settings.controller_name;
        let classes = snapshot.gateway_classes.values().filter(ours);
        let classes = classes
            .map(|object| (object.metadata.name.as_str(), class::read(snapshot, settings, object)))
            .collect();
        let mut slices = BTreeMap::<_, Vec<_>>::new();
        for slice in snapshot.endpoint_slices.values() {
            if let Some(service) = slice.metadata.labels.get(names::SERVICE_NAME) {
                slices.entry(Key::new(&slice.metadata.namespace, service)).or_default().push(slice);
            }
        }
        let mut exposures = BTreeMap::<_, Vec<_>>::new();
        for service in snapshot.services.values() {
            if let Some(gateway) = service.metadata.annotations.get(names::RELATED_GATEWAY) {
                exposures.entry(gateway.as_str()).or_default().push(service);
            }
        }
        Self { snapshot, settings, classes, slices, exposures }
    }

    pub(super) fn owner(&self, gateway: &Gateway) -> Owner<'_, 'a> {
        let class = gateway.spec.gateway_class_name.as_str();
        match self.classes.get(class) {
            Some(class) => Owner::Ours(class),
            None if self.snapshot.gateway_classes.contains_key(&Key::cluster(class)) => Owner::Foreign,
            None => Owner::Nobody,
        }
    }

    pub(super) fn slices(&self, service: &Key) -> &[&'a EndpointSlice] {
        self.slices.get(service).map_or(&[], Vec::as_slice)
    }

    /// Services that say they expose the Gateway.
    pub(super) fn exposures(&self, gateway: &Key) -> &[&'a Service] {
        self.exposures.get(gateway.to_string().as_str()).map_or(&[], Vec::as_slice)
    }

    /// Whether an object may refer to `target`, which is of kind `R`: in its own namespace always, in another one if a
    /// ReferenceGrant there says so or nobody asks for one.
    pub(super) fn permits<R: Resource>(&self, from: &ObjectRef, target: &Key) -> Result<Permission, Finding> {
        if from.key.namespace == target.namespace {
            return Ok(Permission::SameNamespace);
        }
        if !self.settings.reference_grants {
            return Ok(Permission::NotEnforced);
        }
        let granted = self.snapshot.reference_grants.values().any(|grant| {
            grant.metadata.namespace == target.namespace
                && grant.spec.from.iter().any(|source| {
                    (source.group.as_str(), source.kind.as_str(), &source.namespace)
                        == (from.group, from.kind, &from.key.namespace)
                })
                && grant.spec.to.iter().any(|to| {
                    (to.group.as_str(), to.kind.as_str()) == (R::TYPE.group, R::TYPE.kind)
                        && to.name.as_deref().is_none_or(|name| name == target.name)
                })
        });
        if granted {
            Ok(Permission::Granted)
        } else {
            Err(Finding::NotPermitted(ObjectRef::to::<R>(target.clone())))
        }
    }
}

/// Why a reference is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    SameNamespace,
    Granted,
    /// It leads into another namespace and enforcement is off.
    NotEnforced,
}

/// Whether the object is one that we may change: it was made for the Gateway, even if somebody has taken the label or the
/// owner reference away since, or if the Gateway was deleted and created again.
pub(super) fn is_ours(metadata: &Metadata, gateway: &Gateway) -> bool {
    let related = metadata.annotations.get(names::RELATED_GATEWAY);
    let related = related.is_some_and(|related| *related == gateway.metadata.key().to_string());
    is_owned(metadata, gateway) || (is_labelled(metadata) && related)
}

/// Whether the object is one that we may delete: it has our label, and the Gateway is its owner.
pub(super) fn is_ours_for_sure(metadata: &Metadata, gateway: &Gateway) -> bool {
    is_labelled(metadata) && is_owned(metadata, gateway)
}

fn is_labelled(metadata: &Metadata) -> bool {
    metadata.labels.get(names::OWNED_BY).is_some_and(|owner| owner == names::OWNER)
}

/// Whether the Gateway is an owner of the object.
pub(super) fn is_owned(metadata: &Metadata, gateway: &Gateway) -> bool {
    metadata.owner_references.iter().any(|owner| {
        owner.kind == "Gateway" && owner.name == gateway.metadata.name && owner.uid == gateway.metadata.uid
    })
}

/// Shorthand for a problem with `object` that leaves nothing to go on with.
pub(super) fn fatal<R: Resource>(object: &R, field: impl Into<String>, finding: Finding) -> Box<Problem> {
    Box::new(problem(object, field, finding))
}

/// Shorthand for a problem with `object`.
pub(super) fn problem<R: Resource>(object: &R, field: impl Into<String>, finding: Finding) -> Problem {
    Problem::new(ObjectRef::of(object), field, finding)
}
