use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use config::Protocol;

use super::{
    address::PublicAddress,
    annotation::Annotations,
    auth::secret_key,
    world::{Permission, World, problem},
};
use crate::{
    Finding, Mode, Problem, Settings, Transport,
    api::{Gateway, Key, Listener, ObjectRef, Secret, SecretRef},
    names,
};

/// A listener and what the rules have found out about it.
pub(super) struct Plan<'a> {
    pub(super) listener: &'a Listener,
    /// Position in the Gateway.
    pub(super) at: usize,
    /// What it speaks, if that is anything we know.
    pub(super) protocol: Option<Protocol>,
    /// Port that clients connect to; 0 if it is none.
    pub(super) port: u16,
    /// Port that the dataplane listens on.
    pub(super) target: u16,
    /// Why there can be no such listener.
    pub(super) refusal: Option<Finding>,
    /// Certificate and key, if the protocol asks for them, or why there are none.
    pub(super) certificate: Result<Option<Certificate>, Finding>,
    /// Where clients reach it, or why they do not.
    pub(super) public: Result<PublicAddress, Finding>,
    /// Names of the routes attached, `namespace/route`.
    pub(super) routes: BTreeSet<String>,
    /// Number of attachments.
    pub(super) attached: i32,
}

/// PEM in base64, as configurations carry it.
pub(super) struct Certificate {
    chain: String,
    key: config::Secret,
    /// The Secret, if it is in another namespace and nobody asked for a ReferenceGrant.
    ungranted: Option<ObjectRef>,
}

impl Plan<'_> {
    /// Whether the listener goes into the configuration.
    pub(super) fn is_rendered(&self) -> bool {
        self.refusal.is_none() && self.certificate.is_ok()
    }

    /// Why clients cannot use the listener.
    pub(super) fn unprogrammed(&self) -> Option<&Finding> {
        self.refusal.as_ref().or(self.certificate.as_ref().err()).or(self.public.as_ref().err())
    }

    /// Secrets in other namespaces that nobody granted and nobody asked a grant for.
    pub(super) fn ungranted(&self) -> BTreeSet<ObjectRef> {
        let certificate = self.certificate.as_ref().ok().and_then(Option::as_ref);
        certificate.and_then(|certificate| certificate.ungranted.clone()).into_iter().collect()
    }

    /// Transport of a listener that the Service is to expose.
    pub(super) fn exposed(&self) -> Option<Transport> {
        self.protocol.filter(|_| self.refusal.is_none()).map(Transport::from)
    }
}

/// Who has which port.
///
/// Listeners of a Gateway share a Service, so that no two may have the same port. Dataplanes that share a network share
/// target ports: the listeners of a Gateway, those of a class in legacy mode, or those of all Gateways on one host.
pub(super) struct Ports<'a> {
    mode: Mode,
    one_host: bool,
    taken: BTreeMap<Slot, (&'a Gateway, &'a Listener)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Service(Key, Transport, u16),
    Dataplane(Network, Transport, u16),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Network {
    Host,
    Class(String),
    Gateway(Key),
}

impl<'a> Ports<'a> {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { mode: settings.mode, one_host: settings.one_host, taken: BTreeMap::new() }
    }

    /// Takes both ports of a listener, or says who has one of them.
    fn take(
        &mut self,
        gateway: &'a Gateway,
        listener: &'a Listener,
        transport: Transport,
        (port, target): (u16, u16),
    ) -> Result<(), Finding> {
        let network = match self.mode {
            _ if self.one_host => Network::Host,
            Mode::Legacy => Network::Class(gateway.spec.gateway_class_name.clone()),
            Mode::Managed => Network::Gateway(gateway.metadata.key()),
        };
        let slots = [
            Slot::Service(gateway.metadata.key(), transport, port),
            Slot::Dataplane(network, transport, target),
        ];
        for slot in &slots {
            if let Some((holder, listener)) = self.taken.get(slot) {
                let by = format!("{}/{}", holder.metadata.key(), listener.name);
                let port = match slot {
                    Slot::Service(..) => port,
                    Slot::Dataplane(..) => target,
                };
                return Err(Finding::PortTaken { transport, port, by });
            }
        }
        self.taken.extend(slots.map(|slot| (slot, (gateway, listener))));
        Ok(())
    }
}

/// Looks at the listeners of a Gateway, in order. Addresses and routes are filled in later.
pub(super) fn plan<'a>(
    world: &World<'a>,
    gateway: &'a Gateway,
    target_ports: &BTreeMap<String, u16>,
    ports: &mut Ports<'a>,
) -> Vec<Plan<'a>> {
    let mut seen = BTreeSet::new();
    let plan = |(at, listener): (usize, &'a Listener)| {
        let protocol = protocol(&listener.protocol);
        let port = u16::try_from(listener.port).unwrap_or_default();
        let target = target_ports.get(&listener.name).copied().unwrap_or(port);
        let refusal = match protocol {
            _ if !names::is_name(&listener.name) => Err(Finding::BadName(listener.name.clone())),
            _ if !seen.insert(&listener.name) => Err(Finding::DuplicateListener(listener.name.clone())),
            None => Err(Finding::UnknownProtocol(listener.protocol.clone())),
            Some(_) if port == 0 => Err(Finding::PortOutOfRange(listener.port.into())),
            Some(protocol) => ports.take(gateway, listener, protocol.into(), (port, target)),
        };
        let refusal = refusal.err();
        let secure = refusal.is_none() && protocol.is_some_and(Protocol::is_secure);
        Plan {
            listener,
            at,
            protocol,
            port,
            target,
            refusal,
            certificate: if secure { certificate(world, gateway, listener).map(Some) } else { Ok(None) },
            public: Err(Finding::NoService),
            routes: BTreeSet::new(),
            attached: 0,
        }
    };
    gateway.spec.listeners.iter().enumerate().map(plan).collect()
}

/// Takes the ports of a Gateway that cannot be rendered: what was last rendered for it may be using them.
pub(super) fn hold_ports<'a>(world: &World<'a>, gateway: &'a Gateway, ports: &mut Ports<'a>) {
    let annotations = Annotations::of_gateway(world.settings, gateway);
    plan(world, gateway, &annotations.ports(names::TARGET_PORT, &mut Vec::new()), ports);
}

/// Unlike in configurations, only the spellings of the documentation count.
fn protocol(name: &str) -> Option<Protocol> {
    match name.strip_prefix("TURN-").unwrap_or(name) {
        "UDP" => Some(Protocol::Udp),
        "TCP" => Some(Protocol::Tcp),
        "TLS" => Some(Protocol::Tls),
        "DTLS" => Some(Protocol::Dtls),
        _ => None,
    }
}

/// The first usable certificate; if there is none, what is wrong with the first one named.
fn certificate(world: &World<'_>, gateway: &Gateway, listener: &Listener) -> Result<Certificate, Finding> {
    let tls = listener.tls.as_ref().ok_or(Finding::NoCertificate)?;
    if let Some(mode) = tls.mode.as_ref().filter(|mode| *mode != "Terminate") {
        return Err(Finding::TlsMode(mode.clone()));
    }
    let mut first = None;
    for reference in &tls.certificate_refs {
        match from_secret(world, gateway, reference) {
            Ok(certificate) => return Ok(certificate),
            Err(finding) => first = first.or(Some(finding)),
        }
    }
    Err(first.unwrap_or(Finding::NoCertificate))
}

fn from_secret(world: &World<'_>, gateway: &Gateway, reference: &SecretRef) -> Result<Certificate, Finding> {
    let name = secret_key(reference, &gateway.metadata.namespace)?;
    let permission = world.permits::<Secret>(&ObjectRef::of(gateway), &name)?;
    let secret = world.snapshot.secrets.get(&name).ok_or_else(|| Finding::MissingSecret(name.clone()))?;
    let chain = ["tls.crt", "crt", "cert"].iter().find_map(|key| secret.get(key));
    let key = ["tls.key", "key"].iter().find_map(|key| secret.get(key));
    let part =
        |bytes: Option<&[u8]>| bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| STANDARD.encode(bytes));
    let missing = |missing| Finding::IncompleteSecret { secret: name.clone(), missing };
    let (chain, key) = match (part(chain), part(key)) {
        (Some(chain), Some(key)) => (chain, config::Secret::new(key)),
        (None, Some(_)) => return Err(missing(vec!["tls.crt"])),
        (Some(_), None) => return Err(missing(vec!["tls.key"])),
        (None, None) => return Err(missing(vec!["tls.crt", "tls.key"])),
    };
    // The dataplane refuses a configuration as a whole for one certificate that it cannot read.
    let probe = config::Listener { cert: chain.clone(), key: key.clone(), ..config::Listener::default() };
    if let Err(error) = probe.certificate_pem().and_then(|_| probe.private_key_pem()) {
        return Err(Finding::BadCertificate { secret: name, reason: error.problem().to_owned() });
    }
    let ungranted = (permission == Permission::NotEnforced).then(|| ObjectRef::of(secret));
    Ok(Certificate { chain, key, ungranted })
}

/// The listener as the dataplane gets it, if it gets it.
pub(super) fn render(gateway: &Gateway, plan: &Plan<'_>, node_relay: bool) -> Option<config::Listener> {
    let (Some(protocol), None, Ok(certificate)) = (plan.protocol, &plan.refusal, &plan.certificate) else {
        return None;
    };
    let address = if node_relay { config::NODE_ADDRESS_PLACEHOLDER } else { config::RELAY_ADDRESS_VARIABLE };
    let mut listener = config::Listener {
        name: format!("{}/{}", gateway.metadata.key(), plan.listener.name),
        protocol,
        address: address.to_owned(),
        port: plan.target,
        routes: plan.routes.iter().cloned().collect(),
        ..config::Listener::default()
    };
    if let Ok(public) = &plan.public {
        listener.public_address.clone_from(&public.value);
        listener.public_port = public.port;
    }
    if let Some(certificate) = certificate {
        listener.cert.clone_from(&certificate.chain);
        listener.key = certificate.key.clone();
    }
    Some(listener)
}

/// What users should know about a listener.
pub(super) fn problems(gateway: &Gateway, plan: &Plan<'_>) -> Vec<Problem> {
    let field = |name: &str| format!("spec.listeners[{}].{name}", plan.at);
    if let Some(finding) = &plan.refusal {
        let name = match finding {
            Finding::BadName(_) | Finding::DuplicateListener(_) => "name",
            Finding::UnknownProtocol(_) => "protocol",
            _ => "port",
        };
        return vec![problem(gateway, field(name), finding.clone())];
    }
    let mut problems = Vec::new();
    if let Err(finding) = &plan.certificate {
        problems.push(problem(gateway, field("tls"), finding.clone()));
    }
    // A Service that is not there yet is on its way.
    if let Err(finding) = plan.public.as_ref()
        && *finding != Finding::NoService
    {
        problems.push(problem(gateway, field("port"), finding.clone()));
    }
    problems
}

/// Whether relayed traffic of the Gateway leaves from the address of the node.
pub(super) fn node_relay(gateway: &Gateway) -> bool {
    gateway.metadata.annotations.get(names::NODE_RELAY).is_some_and(|value| super::annotation::is_true(value))
}
