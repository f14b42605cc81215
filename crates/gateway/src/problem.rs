use std::fmt;

use crate::api::{Key, ObjectRef};

/// Something a user should know: which object, which field of it, what is wrong and what to do about it.
///
/// Prints on one line, for instance
/// `Gateway media/edge: spec.listeners[0].protocol: unknown protocol "SCTP"; use TURN-UDP, TURN-TCP, TURN-TLS or TURN-DTLS`.
/// Secrets are never part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The object at fault.
    pub object: ObjectRef,
    /// Path of the field at fault, for instance `spec.listeners[0].protocol`; empty if it is the object as a whole.
    pub field: String,
    /// What is wrong.
    pub finding: Finding,
}

impl Problem {
    pub(crate) fn new(object: ObjectRef, field: impl Into<String>, finding: Finding) -> Self {
        Self { object, field: field.into(), finding }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.object)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}; {}", self.finding, self.finding.remedy())
    }
}

impl std::error::Error for Problem {}

/// What can be wrong. Displays the fact; [`Finding::remedy`] says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Finding {
    /// A GatewayClass of ours names no GatewayConfig.
    #[error("no GatewayConfig named")]
    NoParameters,
    /// A GatewayClass of ours names something else than a GatewayConfig.
    #[error("{kind:?} of group {group:?} is not a GatewayConfig")]
    ForeignParameters {
        /// API group named.
        group: String,
        /// Kind named.
        kind: String,
    },
    /// A GatewayClass of ours names a GatewayConfig without name or namespace.
    #[error("name or namespace of the GatewayConfig is empty")]
    UnnamedParameters,
    /// The GatewayConfig is not there.
    #[error("no GatewayConfig {0}")]
    MissingGatewayConfig(Key),
    /// The Dataplane template is not there.
    #[error("no Dataplane {0}")]
    MissingDataplane(String),
    /// A Gateway names a class that is not there.
    #[error("no GatewayClass {0:?}")]
    MissingClass(String),
    /// The operator goes away for good.
    #[error("the operator was shut down")]
    ShutDown,

    /// The authentication type is none that exists.
    #[error("invalid authentication type {0:?}")]
    UnknownAuthType(String),
    /// Inline credentials are not complete.
    #[error("missing {} for {kind} authentication", .missing.join(" and "))]
    MissingCredentials {
        /// Type of authentication.
        kind: &'static str,
        /// Fields that are missing.
        missing: Vec<&'static str>,
    },
    /// `authRef` does not name a Secret.
    #[error("{kind:?} of group {group:?} is not a Secret")]
    ForeignSecretRef {
        /// API group named.
        group: String,
        /// Kind named.
        kind: String,
    },
    /// A Secret is not there.
    #[error("no Secret {0}")]
    MissingSecret(Key),
    /// A Secret lacks what it is needed for.
    #[error("Secret {secret} has no {}", .missing.join(" and no "))]
    IncompleteSecret {
        /// The Secret.
        secret: Key,
        /// Keys that are missing.
        missing: Vec<&'static str>,
    },
    /// A Secret with a certificate that cannot be read.
    #[error("Secret {secret}: {reason}")]
    BadCertificate {
        /// The Secret.
        secret: Key,
        /// What is wrong with it.
        reason: String,
    },
    /// A Secret holds bytes where a text belongs.
    #[error("{key} of Secret {secret} is not a text")]
    BinarySecret {
        /// The Secret.
        secret: Key,
        /// The key.
        key: &'static str,
    },
    /// A reference into another namespace without the ReferenceGrant it needs.
    #[error("{0} is in another namespace and no ReferenceGrant there permits the reference")]
    NotPermitted(ObjectRef),

    /// A value is none of those that exist.
    #[error("unknown value {value:?}, taken as {instead}")]
    UnknownValue {
        /// The value.
        value: String,
        /// What is used instead.
        instead: &'static str,
        /// The values that exist.
        known: &'static str,
    },
    /// An annotation cannot be read.
    #[error("{value:?} {reason}; the annotation has no effect")]
    BadAnnotation {
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An object we would create exists and belongs to somebody else.
    #[error("{0} exists already and is not ours")]
    NameTaken(ObjectRef),
    /// No pod of the dataplane is ready.
    #[error("no pod of the dataplane is ready")]
    NoReadyPod,
    /// The rendered configuration is not one a dataplane would take.
    #[error("no usable configuration: {0}")]
    Unrenderable(String),

    /// A listener has a name that no API server would take.
    #[error("{0:?} is not a name")]
    BadName(String),
    /// Two listeners of a Gateway have the same name.
    #[error("another listener is called {0:?}")]
    DuplicateListener(String),
    /// The protocol of a listener is none that exists.
    #[error("unknown protocol {0:?}")]
    UnknownProtocol(String),
    /// A port is not a port.
    #[error("{0} is not a port")]
    PortOutOfRange(i64),
    /// The port is taken by another listener.
    #[error("{transport} port {port} is taken by listener {by}")]
    PortTaken {
        /// Transport protocol.
        transport: Transport,
        /// The port.
        port: u16,
        /// `namespace/gateway/listener` of the one that has it.
        by: String,
    },
    /// A TLS listener names no certificate.
    #[error("no certificate named")]
    NoCertificate,
    /// A TLS listener is asked to leave TLS to somebody else.
    #[error("TLS mode {0:?} is not supported")]
    TlsMode(String),

    /// There is no Service for the Gateway yet.
    #[error("the Gateway has no Service yet")]
    NoService,
    /// The Service does not have the port of a listener.
    #[error("Service {service} does not expose {transport} port {port}")]
    NotExposed {
        /// The Service.
        service: Key,
        /// Transport protocol.
        transport: Transport,
        /// The port.
        port: u16,
    },
    /// The Service has no address that clients could reach.
    #[error("Service {service} of type {kind} has no public address")]
    NoAddress {
        /// The Service.
        service: Key,
        /// Type of the Service.
        kind: String,
    },

    /// A route has no rule.
    #[error("no rule")]
    NoRule,
    /// A route has more than one rule.
    #[error("only the first of {0} rules has an effect")]
    ExtraRules(usize),
    /// A backend is neither Service nor StaticService.
    #[error("{kind:?} of group {group:?} cannot be a backend")]
    ForeignBackend {
        /// API group named.
        group: String,
        /// Kind named.
        kind: String,
    },
    /// A backend is not there.
    #[error("no {0}")]
    MissingBackend(ObjectRef),
    /// A backend has nothing behind it.
    #[error("no endpoints for {0}")]
    NoEndpoints(ObjectRef),
    /// A backend cannot be together with those before it.
    #[error("{0} is known by address and the backends before it by name, or the other way round")]
    MixedBackends(ObjectRef),
    /// An address of a backend is none.
    #[error("{value:?} of {backend} is not an IP address or prefix")]
    BadPrefix {
        /// The backend.
        backend: ObjectRef,
        /// The text.
        value: String,
    },
    /// A port range of a backend ends before it begins or is out of range.
    #[error("bad port range {0}")]
    BadPortRange(String),
    /// A route of the Gateway API has the same name as one of ours.
    #[error("a {} UDPRoute has the same name", crate::names::GROUP)]
    Masked,
    /// A parent lets no route like this one in.
    #[error("no listener of {0} admits the route")]
    NotAllowed(String),
    /// A parent is not one of our Gateways.
    #[error("no Gateway {0} of ours")]
    NoParent(String),
}

impl Finding {
    /// What to do about it, as an order.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoParameters | Self::ForeignParameters { .. } | Self::UnnamedParameters => {
                "let parametersRef name a GatewayConfig of group stunner.l7mp.io with its namespace"
            }
            Self::MissingGatewayConfig(_) => "create it or correct parametersRef",
            Self::MissingDataplane(_) => "create it or correct the GatewayConfig",
            Self::MissingClass(_) => "create it or correct gatewayClassName",
            Self::ShutDown => "start it again",
            Self::UnknownAuthType(_) => "use static or ephemeral",
            Self::MissingCredentials { .. } => "add them or name a Secret in authRef",
            Self::ForeignSecretRef { .. } => "name a Secret of the core group",
            Self::MissingSecret(_) => "create it or correct the reference",
            Self::IncompleteSecret { .. } => "add it to the Secret",
            Self::BadCertificate { .. } => "store certificate chain and private key as PEM",
            Self::BinarySecret { .. } => "store UTF-8 text",
            Self::NotPermitted(_) => "create a ReferenceGrant in its namespace",
            Self::UnknownValue { known, .. } => known,
            Self::BadAnnotation { .. } => "correct or remove it",
            Self::NameTaken(_) => "rename the Gateway or the object",
            Self::NoReadyPod => "look at the pods of its workload",
            Self::Unrenderable(_) => "correct the fields it names",
            Self::BadName(_) => "use lower-case letters, digits, '-' and '.'",
            Self::DuplicateListener(_) => "rename one of them",
            Self::UnknownProtocol(_) => "use TURN-UDP, TURN-TCP, TURN-TLS or TURN-DTLS",
            Self::PortOutOfRange(_) => "give a number from 1 to 65535",
            Self::PortTaken { .. } => "choose another port",
            Self::NoCertificate => "name a Secret with certificate and key in tls.certificateRefs",
            Self::TlsMode(_) => "use Terminate",
            Self::NoService => "wait for it",
            Self::NotExposed { .. } => {
                "to expose UDP and TCP together set the annotation stunner.l7mp.io/enable-mixed-protocol-lb to \"true\""
            }
            Self::NoAddress { .. } => {
                "wait for the load balancer, give a node an ExternalIP, or set spec.addresses"
            }
            Self::NoRule => "add one",
            Self::ExtraRules(_) => "put all backends into one rule",
            Self::ForeignBackend { .. } => "name a Service, or a StaticService of group stunner.l7mp.io",
            Self::MissingBackend(_) => "create it or correct backendRefs",
            Self::NoEndpoints(_) => "start the pods behind it or correct its selector",
            Self::MixedBackends(_) => "put it into a route of its own",
            Self::BadPrefix { .. } => "write an address such as 10.1.2.3 or a prefix such as 10.1.0.0/16",
            Self::BadPortRange(_) => "let port and endPort be from 1 to 65535 and endPort not below port",
            Self::Masked => "rename or remove one of them",
            Self::NotAllowed(_) => {
                "correct sectionName, or let allowedRoutes admit the namespace of the route"
            }
            Self::NoParent(_) => "create it or correct parentRefs",
        }
    }
}

/// Transport protocol of a port. Ports of different transports do not get into each other's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// UDP, which carries DTLS too.
    Udp,
    /// TCP, which carries TLS too.
    Tcp,
}

impl Transport {
    /// `UDP` or `TCP`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

impl From<config::Protocol> for Transport {
    fn from(protocol: config::Protocol) -> Self {
        if protocol.is_datagram() { Self::Udp } else { Self::Tcp }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
