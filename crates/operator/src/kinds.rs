//! Which kinds the operator watches, and what the API server calls them.

use std::collections::BTreeMap;

use gateway::{
    EndpointDiscovery, Mode,
    api::{
        ConfigMap, DaemonSet, Dataplane, Deployment, EndpointSlice, Endpoints, Gateway, GatewayClass,
        GatewayConfig, GatewayUdpRoute, Namespace, Node, ReferenceGrant, Resource as _, Secret, Service,
        StaticService, Type, UdpRoute,
    },
};
use http::Request;
use kube::{
    Client,
    core::{ApiResource, GroupVersionKind},
};
use serde_json::Value;

/// A kind as (group, kind), which is what objects are told apart by.
pub type Name = (&'static str, &'static str);

/// The kinds that the renderer needs with these settings.
pub fn wanted(settings: &gateway::Settings) -> Vec<Type> {
    let mut wanted = vec![
        GatewayClass::TYPE,
        GatewayConfig::TYPE,
        Gateway::TYPE,
        UdpRoute::TYPE,
        GatewayUdpRoute::TYPE,
        StaticService::TYPE,
        Service::TYPE,
        Secret::TYPE,
        Node::TYPE,
        Namespace::TYPE,
    ];
    match settings.mode {
        Mode::Managed => wanted.extend([Dataplane::TYPE, Deployment::TYPE, DaemonSet::TYPE]),
        Mode::Legacy => wanted.push(ConfigMap::TYPE),
    }
    match settings.endpoint_discovery {
        EndpointDiscovery::Slices => wanted.push(EndpointSlice::TYPE),
        EndpointDiscovery::Endpoints => wanted.push(Endpoints::TYPE),
        EndpointDiscovery::Dns => {}
    }
    if settings.reference_grants {
        wanted.push(ReferenceGrant::TYPE);
    }
    wanted
}

/// Whether the operator can do without the kind, so that its absence from the API server is nothing to wait for.
pub fn is_optional(of: Type) -> bool {
    of == GatewayUdpRoute::TYPE
}

/// What the API server calls the kinds, each in the first version of [`Type::versions`] that it serves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kinds(BTreeMap<Name, ApiResource>);

impl Kinds {
    /// Asks the API server.
    ///
    /// # Errors
    /// It cannot be asked. A kind that it does not serve is no error.
    pub async fn find(client: &Client, wanted: &[Type]) -> kube::Result<Self> {
        let mut found = Self::default();
        let mut asked = BTreeMap::new();
        for of in wanted {
            if let Some(resource) = found.lookup(client, &mut asked, *of).await? {
                found.0.insert((of.group, of.kind), resource);
            }
        }
        Ok(found)
    }

    async fn lookup(
        &self,
        client: &Client,
        asked: &mut BTreeMap<String, Vec<(String, String)>>,
        of: Type,
    ) -> kube::Result<Option<ApiResource>> {
        for version in of.versions {
            let identity = GroupVersionKind::gvk(of.group, version, of.kind);
            if of.group.is_empty() {
                return Ok(Some(ApiResource::from_gvk(&identity)));
            }
            let group_version = identity.api_version();
            if !asked.contains_key(&group_version) {
                asked.insert(group_version.clone(), served(client, &group_version).await?);
            }
            let plural = asked[&group_version].iter().find(|(kind, _)| kind == of.kind);
            if let Some((_, plural)) = plural {
                return Ok(Some(ApiResource::from_gvk_with_plural(&identity, plural)));
            }
        }
        Ok(None)
    }

    /// What the API server calls the kind, if it serves it.
    pub fn get(&self, group: &'static str, kind: &'static str) -> Option<&ApiResource> {
        self.0.get(&(group, kind))
    }

    /// Whether the API server serves the kind.
    pub fn has(&self, of: Type) -> bool {
        self.get(of.group, of.kind).is_some()
    }

    /// Adds what `other` has and this has not, and says which kinds those are.
    pub fn add(&mut self, other: Self) -> Vec<Name> {
        let new: Vec<_> = other.0.keys().filter(|name| !self.0.contains_key(*name)).copied().collect();
        for (name, resource) in other.0 {
            self.0.entry(name).or_insert(resource);
        }
        new
    }
}

/// Whether the API server's Gateways may be printed with a READY column: those of every release that serves v1alpha2 are.
pub(crate) async fn prints_ready(client: &Client) -> bool {
    let kinds = served(client, READY_VERSION).await.unwrap_or_default();
    kinds.iter().any(|(kind, _)| kind == Gateway::TYPE.kind)
}

/// The version of the Gateway API that was the last to say Ready.
const READY_VERSION: &str = "gateway.networking.k8s.io/v1alpha2";

/// Whether the API server has a place for the features that a GatewayClass supports, as objects with a name. Releases of
/// the Gateway API before 1.3 have none, or one for something else.
pub(crate) async fn has_features(client: &Client, gateway_class: &ApiResource) -> bool {
    let path = format!("/openapi/v3/apis/{}", gateway_class.api_version);
    let Ok(request) = Request::get(path).body(Vec::new()) else { return false };
    let Ok(document) = client.request::<Value>(request).await else { return false };
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let mut classes = schemas.filter(|(name, _)| name.ends_with(".GatewayClass"));
    classes.any(|(_, schema)| {
        let features = &schema["properties"]["status"]["properties"]["supportedFeatures"];
        !features["items"]["properties"]["name"].is_null()
    })
}

/// Kinds and plural names of a group and version; none if it is not served.
async fn served(client: &Client, group_version: &str) -> kube::Result<Vec<(String, String)>> {
    match client.list_api_group_resources(group_version).await {
        Ok(list) => {
            let whole = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
            Ok(whole.map(|resource| (resource.kind, resource.name)).collect())
        }
        // The answer to a version that is not served is no status object, so only the code tells.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
