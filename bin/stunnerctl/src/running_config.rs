//! `stunnerctl running-config`: what one needs to connect to a gateway, in the layout of the tutorial.

use std::{
    io::{self, Write},
    str::FromStr,
};

use anyhow::{Context, bail};
use cds::Scope;
use config::{Config, Credentials, Listener, Protocol, Secret};

use crate::{
    cli::{Global, RunningConfigArguments},
    world::World,
};

/// What stands for all gateways of a namespace: once they shared one configuration of this name.
const SHARED: &str = "stunnerd-config";

/// `NAMESPACE/NAME` of a gateway, or of the shared configuration.
#[derive(Debug, Clone)]
pub(crate) struct ConfigName {
    namespace: String,
    name: String,
}

impl FromStr for ConfigName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("cannot parse <namespace/name> argument"),
        }
    }
}

pub(crate) async fn run(global: &Global, arguments: &RunningConfigArguments) -> anyhow::Result<()> {
    let world = World::of(global).await;
    let ConfigName { namespace, name } = &arguments.name;
    let view = match legacy(&world, &arguments.server, namespace, name).await? {
        Some(config) => View::of_all(&[config]),
        None => discovered(&world, arguments).await?,
    };
    Ok(view.write(&mut io::stdout().lock())?)
}

/// The configuration in the ConfigMap of that name, if there is one.
async fn legacy(
    world: &World,
    server: &flags::Discovery,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Option<Config>> {
    if server.given().is_some() {
        return Ok(None);
    }
    let Some(cluster) = world.cluster()? else { return Ok(None) };
    let text = match cluster.legacy_config(namespace, name).await {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        // Who may not read ConfigMaps may still ask the discovery server.
        Err(error) => {
            tracing::warn!(target: "stunnerctl", "{error}");
            return Ok(None);
        }
    };
    let keep = |name: &str| Some(format!("${name}"));
    let config = Config::parse_without_certificates(&text, &keep);
    config.map(Some).with_context(|| format!("the ConfigMap {namespace}/{name} is not usable"))
}

/// The configuration that the discovery server has for that name.
async fn discovered(world: &World, arguments: &RunningConfigArguments) -> anyhow::Result<View> {
    let ConfigName { namespace, name } = &arguments.name;
    let missing = || format!("STUNner configmap {namespace}/{name} not found");
    let asked = world.discovery(&arguments.server, None).await;
    let (origin, options) = if name == SHARED { asked.with_context(missing)? } else { asked? };
    let gateway = Scope::gateway(namespace, name);
    if name != SHARED {
        return match &cds::load(&origin, &gateway, &options).await?[..] {
            [config] => Ok(View::of_gateway(config)),
            _ => bail!("no configuration of {gateway}"),
        };
    }
    let mut configs = cds::load(&origin, &Scope::Namespace(namespace.clone()), &options).await?;
    configs.sort_by(|a, b| a.admin.name.cmp(&b.admin.name));
    match configs.iter().find(|config| gateway.contains(&config.admin.name)) {
        Some(config) => Ok(View::of_gateway(config)),
        None if configs.is_empty() => bail!("{}", missing()),
        None => Ok(View::of_all(&configs)),
    }
}

/// What is printed.
struct View {
    kind: String,
    credentials: Credentials,
    listeners: Vec<ListenerView>,
}

struct ListenerView {
    name: String,
    protocol: String,
    public_address: String,
    public_port: u16,
}

impl View {
    /// Names and protocols as they are.
    fn of_gateway(config: &Config) -> Self {
        let listeners = config.listeners.iter();
        Self::new(
            config,
            listeners.map(|it| ListenerView::new(it, it.name.clone(), it.protocol.to_string())).collect(),
        )
    }

    /// All gateways as one, as they are in a ConfigMap: bare names and protocols, UDP first. Gateways of a namespace share their credentials as a
    /// rule; those of the first are shown.
    fn of_all(configs: &[Config]) -> Self {
        let mut listeners: Vec<&Listener> = configs.iter().flat_map(|config| &config.listeners).collect();
        listeners.sort_by_key(|listener| match listener.protocol {
            Protocol::Udp => 0,
            Protocol::Tcp => 1,
            Protocol::Tls => 2,
            Protocol::Dtls => 3,
        });
        let bare = |listener: &&Listener| {
            let name = listener.name.rsplit('/').next().unwrap_or_default().to_owned();
            let protocol = listener.protocol.as_str().trim_start_matches("TURN-").to_owned();
            ListenerView::new(listener, name, protocol)
        };
        Self::new(&configs[0], listeners.iter().map(bare).collect())
    }

    fn new(config: &Config, listeners: Vec<ListenerView>) -> Self {
        Self { kind: config.auth.kind.to_string(), credentials: config.auth.credentials.clone(), listeners }
    }

    /// Lines appear only if there is something to say.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Credentials { username, password, secret, .. } = &self.credentials;
        writeln!(out, "STUN/TURN authentication type:\t{}", self.kind)?;
        for (label, value) in [("username", username), ("password", password), ("secret", secret)] {
            if let Some(value) = value.as_ref().map(Secret::expose).filter(|value| !value.is_empty()) {
                writeln!(out, "STUN/TURN {label}:\t\t{value}")?;
            }
        }
        if self.listeners.is_empty() {
            writeln!(out, "No listeners")?;
        }
        for (number, listener) in (1..).zip(&self.listeners) {
            writeln!(out, "Listener {number}")?;
            writeln!(out, "\tName:\t{}", listener.name)?;
            writeln!(out, "\tListener:\t{}", listener.name)?;
            writeln!(out, "\tProtocol:\t{}", listener.protocol)?;
            if !listener.public_address.is_empty() {
                writeln!(out, "\tPublic address:\t{}", listener.public_address)?;
            }
            if listener.public_port != 0 {
                writeln!(out, "\tPublic port:\t{}", listener.public_port)?;
            }
        }
        Ok(())
    }
}

impl ListenerView {
    fn new(listener: &Listener, name: String, protocol: String) -> Self {
        let Listener { public_address, public_port, .. } = listener;
        Self { name, protocol, public_address: public_address.clone(), public_port: *public_port }
    }
}
