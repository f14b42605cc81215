use std::collections::BTreeSet;

use crate::names;

/// What the renderer has to know besides the objects. [`Settings::default`] is what a cluster gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `spec.controllerName` of the GatewayClasses that are ours.
    pub controller_name: String,
    /// Who runs the dataplane.
    pub mode: Mode,
    /// All Gateways share the ports of one machine: a port that two of them ask for goes to the older one.
    pub one_host: bool,
    /// Whether the cluster addresses of backend Services are peers too.
    pub relay_to_cluster_ip: bool,
    /// Where the pods behind a Service are looked up.
    pub endpoint_discovery: EndpointDiscovery,
    /// Domain of Services, for [`EndpointDiscovery::Dns`].
    pub cluster_domain: String,
    /// Whether references into other namespaces need a ReferenceGrant.
    pub reference_grants: bool,
    /// `host:port` at which dataplane pods find config discovery; the port may be left out.
    pub discovery_address: String,
    /// What dataplane pods need to be let in there.
    pub discovery_security: DiscoverySecurity,
    /// Image of dataplane pods whose template names none.
    pub dataplane_image: String,
    /// Whether Gateways may do without the Dataplane template they name.
    pub dataplane_optional: bool,
    /// Labels of Gateways that are not passed on to workloads.
    pub label_filter: BTreeSet<String>,
    /// Annotations of Gateways that are not passed on to Services and workloads.
    pub annotation_filter: BTreeSet<String>,
    /// Whether Gateways get the condition `Ready` as well, which clusters with Gateway API 0.5 print as their READY
    /// column.
    pub ready_condition: bool,
    /// Whether the API server has a place for the features that a GatewayClass supports.
    pub supported_features: bool,
    /// Whether a Gateway is programmed only when a pod of its dataplane is ready.
    pub await_dataplane: bool,
}

/// How config discovery is protected. By default it is not: it speaks to everybody, in the clear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoverySecurity {
    /// It speaks TLS, and these certificates, in the PEM format, are the authorities to trust.
    pub authority: Option<String>,
    /// It wants to see a token that is made for this audience.
    pub audience: Option<String>,
}

/// Who runs the dataplane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// We do: a workload per Gateway, configured through config discovery.
    #[default]
    Managed,
    /// The user does: pods labelled `app=stunner`, configured by one ConfigMap per GatewayConfig.
    Legacy,
}

/// Where the pods behind a Service are looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum EndpointDiscovery {
    /// In its EndpointSlices.
    #[default]
    Slices,
    /// In its Endpoints.
    Endpoints,
    /// By the dataplane, in the DNS.
    Dns,
}

impl Default for Settings {
    fn default() -> Self {
        let owned = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        Self {
            controller_name: names::CONTROLLER.to_owned(),
            mode: Mode::Managed,
            one_host: false,
            relay_to_cluster_ip: true,
            endpoint_discovery: EndpointDiscovery::Slices,
            cluster_domain: "cluster.local".to_owned(),
            reference_grants: false,
            discovery_address: names::DISCOVERY_ADDRESS.to_owned(),
            discovery_security: DiscoverySecurity::default(),
            dataplane_image: names::DATAPLANE_IMAGE.to_owned(),
            dataplane_optional: false,
            label_filter: owned(&names::LABEL_FILTER),
            annotation_filter: owned(&names::ANNOTATION_FILTER),
            ready_condition: false,
            supported_features: false,
            await_dataplane: false,
        }
    }
}

impl Settings {
    /// What one machine without Kubernetes gets: shared ports, no need for a Dataplane template, no cluster addresses.
    pub fn one_host() -> Self {
        Self { one_host: true, dataplane_optional: true, relay_to_cluster_ip: false, ..Self::default() }
    }
}
