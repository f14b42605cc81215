//! The dataplanes that a command is about, and what they answer.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::{Context, bail};
use cds::{Access, Options, Timing, origin::Server};
use reach::{Cluster, DATAPLANE, GATEWAY_NAME, GATEWAY_NAMESPACE, Pod};
use serde_json::Value;

use crate::{
    cli::{Dataplanes, Global},
    world::{World, server},
};

/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A dataplane's health port.
pub(crate) struct Dataplane {
    /// What it is called.
    pub(crate) name: String,
    server: Server,
    options: Options,
}

impl Dataplane {
    fn new(name: String, server: Server, access: Access) -> Self {
        let timing = Timing { request_deadline: PATIENCE, ..Timing::default() };
        Self { name, server, options: Options { access, timing, ..Options::default() } }
    }

    fn of_pod(pod: &Pod, port: u16) -> Self {
        let (server, access) = pod.server(port);
        Self::new(pod.id(), server, access)
    }

    /// Whether it is in a cluster.
    pub(crate) fn is_pod(&self) -> bool {
        self.options.access.dial.is_some()
    }

    async fn get(&self, target: &str) -> Result<String, cds::Error> {
        cds::get(&self.server, target, &self.options).await
    }
}

/// The dataplane at an address that is given; else the pods of the cluster; else the one of this machine.
pub(crate) async fn find(
    global: &Global,
    (flag, address): (&'static str, Option<&str>),
    wanted: &Dataplanes,
) -> anyhow::Result<Vec<Dataplane>> {
    let world = World::of(global).await;
    let cluster = if address.is_some() { None } else { world.cluster()? };
    let Some(cluster) = cluster else {
        let here = format!("127.0.0.1:{}", wanted.pod_port);
        let server = server(flag, address.unwrap_or(&here), wanted.pod_port)?;
        return Ok(vec![Dataplane::new(server.authority(), server, Access::default())]);
    };
    let (namespace, gateway) = match &wanted.gateway {
        Some(id) => match id.split_once('/') {
            Some((namespace, name)) => (Some(namespace), Some(name)),
            None => (Some(world.namespace()), Some(id.as_str())),
        },
        None => (Some(world.namespace()), None),
    };
    let namespace = namespace.filter(|_| !global.all_namespaces);
    let mut pods = labelled(cluster, namespace, gateway).await?;
    if let Some(name) = &wanted.pod_name {
        pods.retain(|pod| pod.name() == name);
    }
    if pods.is_empty() {
        let place = namespace.unwrap_or("any namespace");
        let what = gateway.map(|gateway| format!(" of gateway {gateway}")).unwrap_or_default();
        let text = format!("no dataplane pods{what} in {place}; use -n NAMESPACE or -a to look elsewhere");
        if gateway.is_some() {
            bail!("{text}");
        }
        writeln!(io::stderr(), "{text}")?;
    }
    Ok(pods.iter().map(|pod| Dataplane::of_pod(pod, wanted.pod_port)).collect())
}

/// Pods of gateways carry the names of those; where there are none, the pods that somebody else has started.
async fn labelled(
    cluster: &Cluster,
    namespace: Option<&str>,
    gateway: Option<&str>,
) -> anyhow::Result<Vec<Pod>> {
    let mut labels = DATAPLANE.to_owned();
    if let Some(namespace) = namespace {
        labels += &format!(",{GATEWAY_NAMESPACE}={namespace}");
    }
    if let Some(gateway) = gateway {
        labels += &format!(",{GATEWAY_NAME}={gateway}");
    }
    let pods = cluster.pods(&labels, namespace).await?;
    if !pods.is_empty() || (namespace.is_none() && gateway.is_none()) {
        return Ok(pods);
    }
    Ok(cluster.pods(&format!("{DATAPLANE},!{GATEWAY_NAME}"), namespace).await?)
}

/// An answer as a value.
pub(crate) fn document(body: &str) -> anyhow::Result<Value> {
    serde_json::from_str(body).context("the answer is not JSON; is this a dataplane's health port?")
}

/// What each of them answers, in their order. They are asked at the same time, as some may be slow.
pub(crate) async fn ask(
    dataplanes: Vec<Dataplane>,
    target: &str,
) -> Vec<(String, Result<String, cds::Error>)> {
    let asked: Vec<_> = dataplanes
        .into_iter()
        .map(|dataplane| {
            let (name, target) = (dataplane.name.clone(), target.to_owned());
            (name, tokio::spawn(async move { dataplane.get(&target).await }))
        })
        .collect();
    let mut answers = Vec::with_capacity(asked.len());
    for (name, answer) in asked {
        if let Ok(answer) = answer.await {
            answers.push((name, answer));
        }
    }
    answers
}
