//! `stunnerctl config`: the configurations of gateways, once or again and again.

use std::io::{self, Write};

use cds::{Event, Scope};
use signals::Signals;

use crate::{
    cli::{ConfigArguments, Global},
    format::Printer,
    world::World,
};

pub(crate) async fn run(global: &Global, arguments: &ConfigArguments) -> anyhow::Result<()> {
    let printer = Printer::new(&global.output)?;
    let world = World::of(global).await;
    let (scope, wanted) = selection(global, world.namespace(), arguments.gateway.as_deref())?;
    let (origin, options) = world.discovery(&arguments.server, arguments.node.as_deref()).await?;
    let is_wanted = |id: &str| wanted.is_none_or(|name| id.split('/').nth(1) == Some(name));
    let mut out = io::stdout().lock();
    if !arguments.watch {
        let mut configs = cds::load(&origin, &scope, &options).await?;
        configs.retain(|config| is_wanted(&config.admin.name));
        configs.sort_by(|a, b| a.admin.name.cmp(&b.admin.name));
        if configs.is_empty() {
            writeln!(
                io::stderr(),
                "The discovery server has no {scope}; use -n NAMESPACE or -a to look elsewhere."
            )?;
        }
        return configs.iter().try_for_each(|config| printer.config(&mut out, config));
    }
    let mut watch = cds::watch(&origin, scope, options)?;
    let mut signals = Signals::new()?;
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            () = signals.next() => return Ok(()),
        };
        match event {
            Some(Event::Config(config)) if is_wanted(&config.admin.name) => {
                printer.config(&mut out, &config)?;
            }
            Some(Event::Deleted(id)) if is_wanted(&id) => printer.deleted(&mut out, &id)?,
            Some(Event::Config(_) | Event::Deleted(_) | Event::Synced) => {}
            None => return Ok(()),
        }
    }
}

/// What to ask for, and the name that the gateways must have if the question cannot say so.
fn selection<'a>(
    global: &Global,
    namespace: &str,
    gateway: Option<&'a str>,
) -> anyhow::Result<(Scope, Option<&'a str>)> {
    Ok(match gateway {
        _ if global.all_namespaces => (Scope::All, gateway),
        Some(id) if id.contains('/') => (id.parse()?, None),
        Some(name) => (Scope::gateway(namespace, name), None),
        None => (Scope::Namespace(namespace.to_owned()), None),
    })
}
