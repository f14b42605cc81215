use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::{
    ConfigMap, DaemonSet, Dataplane, Deployment, EndpointSlice, Endpoints, Gateway, GatewayClass,
    GatewayConfig, GatewayUdpRoute, Key, Namespace, Node, ReferenceGrant, Resource, Secret, Service,
    StaticService, Type, UdpRoute, to_value,
};

/// All objects of one kind, in order.
pub type Objects<R> = BTreeMap<Key, R>;

/// A kind that a [`Snapshot`] holds.
pub trait Stored: Resource {
    /// The objects of the kind.
    fn all(snapshot: &Snapshot) -> &Objects<Self>;

    /// The same, to be changed.
    fn all_mut(snapshot: &mut Snapshot) -> &mut Objects<Self>;
}

/// Something to do for a kind that is only known at run time.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it for the kind `R`.
    fn visit<R: Stored>(self) -> Self::Output;
}

/// The one list of kinds: everything that has to be done for each of them is written here.
macro_rules! kinds {
    ($($(#[$doc:meta])* $field:ident: $kind:ident,)*) => {
        /// Everything the renderer looks at. Deployments, DaemonSets and ConfigMaps are there to tell which objects exist
        /// that should not, and may be left out where nothing can be deleted anyway.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Snapshot {
            $($(#[$doc])* pub $field: Objects<$kind>,)*
        }

        $(impl Stored for $kind {
            fn all(snapshot: &Snapshot) -> &Objects<Self> {
                &snapshot.$field
            }

            fn all_mut(snapshot: &mut Snapshot) -> &mut Objects<Self> {
                &mut snapshot.$field
            }
        })*

        impl Snapshot {
            /// The kinds a snapshot holds.
            pub const TYPES: &'static [Type] = &[$($kind::TYPE,)*];

            /// Calls `visitor` with the kind that `of` stands for; `None` if a snapshot does not hold it.
            pub fn dispatch<V: Visitor>(of: Type, visitor: V) -> Option<V::Output> {
                $(if of == $kind::TYPE {
                    return Some(visitor.visit::<$kind>());
                })*
                None
            }

            /// All objects as the JSON of the API, kind by kind, in order.
            pub fn to_values(&self) -> Vec<Value> {
                let mut values = Vec::new();
                $(values.extend(self.$field.values().map(to_value));)*
                values
            }
        }
    };
}

kinds! {
    /// GatewayClasses, ours and others.
    gateway_classes: GatewayClass,
    /// GatewayConfigs.
    gateway_configs: GatewayConfig,
    /// Dataplane templates.
    dataplanes: Dataplane,
    /// Gateways, ours and others.
    gateways: Gateway,
    /// UDPRoutes of our group.
    udp_routes: UdpRoute,
    /// UDPRoutes of the Gateway API.
    gateway_udp_routes: GatewayUdpRoute,
    /// StaticServices.
    static_services: StaticService,
    /// Services: those that we generate and those that routes lead to.
    services: Service,
    /// EndpointSlices.
    endpoint_slices: EndpointSlice,
    /// Endpoints, looked at only if there are no EndpointSlices to be had.
    endpoints: Endpoints,
    /// Secrets.
    secrets: Secret,
    /// Nodes.
    nodes: Node,
    /// Namespaces.
    namespaces: Namespace,
    /// ReferenceGrants.
    reference_grants: ReferenceGrant,
    /// Deployments that exist.
    deployments: Deployment,
    /// DaemonSets that exist.
    daemon_sets: DaemonSet,
    /// ConfigMaps that exist.
    config_maps: ConfigMap,
}

impl Snapshot {
    /// Adds an object; hands back the one it replaces.
    pub fn insert<R: Stored>(&mut self, object: R) -> Option<R> {
        R::all_mut(self).insert(object.key(), object)
    }

    /// Removes an object.
    pub fn remove<R: Stored>(&mut self, key: &Key) -> Option<R> {
        R::all_mut(self).remove(key)
    }

    /// Puts `objects` in place of all objects of their kind.
    pub fn replace<R: Stored>(&mut self, objects: impl IntoIterator<Item = R>) {
        *R::all_mut(self) = objects.into_iter().map(|object| (object.key(), object)).collect();
    }
}
