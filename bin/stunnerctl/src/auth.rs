//! `stunnerctl auth`: what the authentication service gives to applications.

use std::io::{self, Write};

use anyhow::{Context, bail};
use cds::{Access, Error, Options, origin::Server};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{
    cli::{AuthArguments, AuthService, Global},
    format::Printer,
    world::{self, World},
};

pub(crate) async fn run(global: &Global, arguments: &AuthArguments) -> anyhow::Result<()> {
    let printer = Printer::new(&global.output)?;
    let world = World::of(global).await;
    let target = target(global, &world, arguments);
    let service = find(&world, &arguments.service).await?;
    let body = service.ask(&target).await?;
    let mut out = io::stdout().lock();
    match printer {
        // As it is, and one newline more.
        Printer::Summary | Printer::Json | Printer::Line => writeln!(out, "{body}")?,
        Printer::Yaml | Printer::JsonPath(_) => {
            let document: Value = serde_json::from_str(&body).context("the answer is not JSON")?;
            let nothing = |_: &mut io::StdoutLock<'_>| Ok(());
            printer.document(&mut out, &document, nothing, nothing)?;
        }
    }
    Ok(())
}

/// The service, and the way there.
pub(crate) struct Service {
    server: Server,
    options: Options,
}

impl Service {
    fn new((server, access): (Server, Access)) -> Self {
        Self { server, options: Options { access, ..Options::default() } }
    }

    /// What it answers to a target, such as `/ice?service=turn`.
    pub(crate) async fn ask(&self, target: &str) -> anyhow::Result<String> {
        match cds::get(&self.server, target, &self.options).await {
            Ok(body) => Ok(body),
            Err(Error::Status { status, body }) => {
                bail!("the authentication service answered with status {status}, not with 200 OK: {body}")
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The service at an address that is given; else its pod in the cluster; else the one of this machine.
pub(crate) async fn find(world: &World, arguments: &AuthService) -> anyhow::Result<Service> {
    let port = arguments.auth_service_port;
    let at = |address: &str| -> anyhow::Result<Service> {
        Ok(Service::new((world::server("--auth-server-address", address, port)?, Access::default())))
    };
    if let Some(address) = &arguments.auth_server_address {
        return at(address);
    }
    let Some(cluster) = world.cluster()? else { return at("127.0.0.1") };
    let remedy = "is it installed? Name another namespace with --auth-service-namespace, or the service itself with \
                  --auth-server-address";
    let namespace = arguments.auth_service_namespace.as_deref();
    let pod = cluster.pod("authentication service", reach::AUTH, namespace, remedy).await?;
    Ok(Service::new(pod.server(port)))
}

fn target(global: &Global, world: &World, arguments: &AuthArguments) -> String {
    let mut items = vec![("service", "turn".to_owned())];
    let mut add = |key, value: Option<&str>| items.extend(value.map(|value| (key, value.to_owned())));
    match arguments.gateway.as_deref() {
        Some(id) => {
            let (namespace, name) = id.split_once('/').unwrap_or((world.namespace(), id));
            add("namespace", Some(namespace).filter(|_| !global.all_namespaces || id.contains('/')));
            add("gateway", Some(name));
        }
        None if global.all_namespaces => {}
        None => add("namespace", global.kubernetes.namespace.as_deref()),
    }
    add("username", arguments.username.as_deref());
    add("ttl", arguments.ttl.map(|ttl| ttl.to_string()).as_deref());
    let path = if arguments.auth_turn_credential { "/" } else { "/ice" };
    if !arguments.auth_turn_credential {
        add("iceTransportPolicy", arguments.ice_transport_policy.as_deref());
    }
    let items =
        items.iter().map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    format!("{path}?{}", items.collect::<Vec<_>>().join("&"))
}
