//! A test in a cluster: makes what it takes, waits for it, and removes it again.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use cds::{Options, Origin, Scope};
use config::Listener;
use reach::{Cluster, Pod};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;
use whip::{IceServer, Way};

use super::{
    echo::{self, Symmetry, Tester, until},
    gateway,
    objects::{self, Plan},
    over,
    report::{Failed, completed, phase},
};
use crate::{
    auth::{self, Service},
    cli::{Global, IcetestArguments, Transport},
    world::World,
};

/// The namespace of tests, unless somebody wants another.
const NAMESPACE: &str = "icetest";

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How long things may take: what is removed, a pod, what a gateway is told, its pods, and its credentials.
const REMOVING: Duration = Duration::from_secs(30);
const STARTING: Duration = Duration::from_secs(30);
const RENDERING: Duration = Duration::from_secs(60);
const GATEWAY_PODS: Duration = Duration::from_secs(60);
const CREDENTIALS: Duration = Duration::from_secs(10);

/// A test and its place in a cluster.
pub(super) struct Test<'t> {
    arguments: &'t IcetestArguments,
    world: &'t World,
    cluster: Cluster,
    plan: Plan,
    /// Requests that make something: they are never given up half-way, so that it is known what there is to remove.
    creating: TaskTracker,
}

/// Who takes part.
struct Cast {
    tester: Tester,
    origin: Origin,
    options: Options,
    service: Service,
}

/// A gateway that is ready, and what applications are told of it.
struct Ready {
    transport: Transport,
    servers: Vec<IceServer>,
    /// The same for applications in the cluster.
    inside: Vec<IceServer>,
}

impl<'t> Test<'t> {
    /// Makes nothing yet.
    pub(super) fn new(
        global: &Global,
        arguments: &'t IcetestArguments,
        world: &'t World,
        cluster: Cluster,
    ) -> anyhow::Result<Self> {
        let plan = Plan {
            namespace: global.kubernetes.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned()),
            run: random::<8>()?,
            transports: super::transports(arguments),
            image: arguments.ice_tester_image.clone(),
            offload: arguments.offload_mode,
        };
        Ok(Self { arguments, world, cluster, plan, creating: TaskTracker::new() })
    }

    /// All phases, in their order.
    pub(super) async fn run(&self) -> Result<(), Failed> {
        phase("Initializing", None);
        self.initialize().await?;
        completed();
        phase("Checking installation", None);
        let cast = self.check_installation().await?;
        completed();
        let mut listeners = Vec::new();
        for transport in &self.plan.transports {
            phase("Checking Gateway", Some(*transport));
            listeners.push((*transport, self.check_gateway(&cast, *transport).await?));
            completed();
        }
        let mut gateways = Vec::new();
        for (transport, listener) in listeners {
            phase("Obtaining ICE server configuration", Some(transport));
            gateways.push(self.ready(&cast, transport, &listener).await?);
            completed();
        }
        for symmetry in [Symmetry::Asymmetric, Symmetry::Symmetric] {
            for Ready { transport, servers, inside } in &gateways {
                let theirs = if symmetry == Symmetry::Asymmetric { &[][..] } else { inside };
                let which = (symmetry, *transport);
                echo::test(self.arguments, which, &cast.tester, servers.clone(), theirs).await?;
            }
        }
        Ok(())
    }

    /// Removes everything that this test has made, and waits until it is gone.
    pub(super) async fn clean_up(&self) -> anyhow::Result<()> {
        self.creating.close();
        self.creating.wait().await;
        remove_all(&self.cluster, &self.plan.selector()).await
    }

    /// What its objects have in common.
    pub(super) fn describe(&self) -> String {
        format!("the objects labelled {} and the namespace {}", self.plan.selector(), self.plan.namespace)
    }

    async fn initialize(&self) -> Result<(), Failed> {
        self.make_room().await?;
        let failed = Failed::advising("may you make namespaces and Dataplanes in this cluster?");
        let name = objects::DEFAULT_DATAPLANE;
        let default = self.cluster.find_object(objects::DATAPLANE, None, name).await.map_err(&failed)?;
        let Some(default) = default else {
            return Err(Failed {
                error: format!("there is no Dataplane {name}"),
                advice: "is STUNner installed in this cluster? That Dataplane is a part of its chart",
            });
        };
        for object in [self.plan.namespace(), self.plan.dataplane(&default)] {
            self.create(object)
                .await
                .map_err(Failed::advising("may you make namespaces and Dataplanes in this cluster?"))?;
        }
        Ok(())
    }

    /// Nothing of another test may be in the way, and what is not a test's is not touched.
    async fn make_room(&self) -> Result<(), Failed> {
        let wanted = [
            (objects::NAMESPACE, self.plan.namespace.as_str()),
            (objects::CLASS, objects::CLASS_NAME),
            (objects::DATAPLANE, objects::DATAPLANE_NAME),
        ];
        let mut left = Vec::new();
        for (kind, name) in wanted {
            let found = self.cluster.find_object(kind, None, name).await;
            let found = found
                .map_err(Failed::advising("can the cluster be reached, and may you read its objects?"))?;
            match found.as_ref().map(|object| objects::made_by(object)) {
                None => {}
                Some(Some(_)) => left.push(format!("{} {name}", kind.name)),
                Some(None) => {
                    return Err(Failed {
                        error: format!("{} {name} exists, and no icetest has made it", kind.name),
                        advice: "it is never removed: choose another namespace with -n, or rename what is in the way",
                    });
                }
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if !self.arguments.force_cleanup {
            return Err(Failed {
                error: format!(
                    "{} exists: another icetest is running, or one was interrupted",
                    left.join(", ")
                ),
                advice: "wait for its end, or remove what it left with --force-cleanup",
            });
        }
        let failed = Failed::advising("may you delete what an earlier icetest has left in this cluster?");
        remove_all(&self.cluster, objects::LABEL).await.map_err(failed)
    }

    async fn check_installation(&self) -> Result<Cast, Failed> {
        for name in objects::DEFINITIONS {
            let found = self.cluster.find_object(objects::DEFINITION, None, name).await;
            let found =
                found.map_err(Failed::advising("may you read definitions of kinds in this cluster?"))?;
            if found.is_none() {
                return Err(Failed {
                    error: format!("the cluster does not know {name}"),
                    advice: "install the definitions of the Gateway API and of STUNner; docs/install.md has the commands",
                });
            }
        }
        let secret = random::<32>().map_err(Failed::advising("has this machine random numbers?"))?;
        for object in self.plan.objects(&secret) {
            let created = self.create(object).await;
            created.map_err(Failed::advising(
                "may you make Gateways, routes, Services and pods in this cluster?",
            ))?;
        }
        let backend = self.await_backend().await?;
        let failed = Failed::advising("is the operator running, and may you forward ports of its pods?");
        let (origin, options) = self.world.discovery(&self.arguments.server, None).await.map_err(failed)?;
        let failed =
            Failed::advising("is the authentication service running, and may you forward ports of its pod?");
        let service = auth::find(self.world, &self.arguments.service).await.map_err(failed)?;
        Ok(Cast { tester: Tester::new(objects::BACKEND, way(&backend)), origin, options, service })
    }

    async fn await_backend(&self) -> Result<Pod, Failed> {
        let (namespace, labels) =
            (&self.plan.namespace, format!("{},{}", objects::BACKEND_LABEL, self.plan.selector()));
        until(STARTING, LOOK, async || {
            let failed = Failed::advising("may you list pods in this cluster?");
            let pods = self.cluster.pods(&labels, Some(namespace)).await.map_err(&failed)?;
            if let Some(pod) = pods.into_iter().find(Pod::is_ready) {
                return Ok(pod);
            }
            let found = self.cluster.find_object(objects::POD, Some(namespace), objects::BACKEND).await;
            let why = objects::why_not_ready(&found.map_err(failed)?.unwrap_or(Value::Null));
            Err(Failed {
                error: format!("the pod {namespace}/{} is not ready: {why}", objects::BACKEND),
                advice: "can the cluster pull its image (--ice-tester-image), and has a node room for it?",
            })
        })
        .await
    }

    /// The listener of a gateway that can be reached, and whose pods are ready.
    async fn check_gateway(&self, cast: &Cast, transport: Transport) -> Result<Listener, Failed> {
        let (namespace, name) = (&self.plan.namespace, objects::gateway_name(transport));
        let scope = Scope::gateway(namespace, name);
        let listener = until(RENDERING, LOOK, async || {
            let failed = Failed::advising("does the operator run, and does its log say anything of this Gateway?");
            let configs = cds::load(&cast.origin, &scope, &cast.options).await.map_err(failed)?;
            let config = configs.first().ok_or_else(|| "there is no configuration yet".to_owned());
            let ready = config.and_then(|config| gateway::ready(config, self.arguments.allow_nodeport));
            ready.cloned().map_err(|problem| Failed {
                error: format!("the Gateway {namespace}/{name} is not ready: {problem}"),
                advice: "does the Gateway's Service get an address, and do the statuses of Gateway and route say why not?",
            })
        })
        .await?;
        let labels = format!(
            "{},{}={namespace},{}={name}",
            reach::DATAPLANE,
            reach::GATEWAY_NAMESPACE,
            reach::GATEWAY_NAME
        );
        until(GATEWAY_PODS, LOOK, async || {
            let failed = Failed::advising("may you list pods in this cluster?");
            let pods = self.cluster.pods(&labels, Some(namespace)).await.map_err(failed)?;
            if pods.iter().any(Pod::is_ready) {
                return Ok(());
            }
            let names = pods.iter().map(Pod::id).collect::<Vec<_>>().join(", ");
            let which = if names.is_empty() { "there is none".to_owned() } else { names };
            Err(Failed {
                error: format!("no pod of the Gateway {namespace}/{name} is ready: {which}"),
                advice: "do the events of the Gateway's Deployment and the logs of its pods say why?",
            })
        })
        .await?;
        Ok(listener)
    }

    async fn ready(&self, cast: &Cast, transport: Transport, listener: &Listener) -> Result<Ready, Failed> {
        let (namespace, name) = (&self.plan.namespace, objects::gateway_name(transport));
        let target = format!("/ice?service=turn&namespace={namespace}&gateway={name}");
        let servers = until(CREDENTIALS, LOOK, async || {
            let advice = "does the authentication service get its configurations from the operator?";
            let told = super::ice_config(&cast.service, &target).await.map_err(Failed::advising(advice))?;
            over(&told, transport)
        })
        .await?;
        let service = format!("{name}.{namespace}.svc.cluster.local");
        let inside = gateway::inside(&servers, &service, listener.port, transport);
        Ok(Ready { transport, servers, inside })
    }

    async fn create(&self, object: Value) -> anyhow::Result<()> {
        let cluster = self.cluster.clone();
        let creating = self.creating.spawn(async move { cluster.create(&object).await });
        Ok(creating.await??)
    }
}

/// Removes what tests have made, by its labels: what others are made of goes last.
async fn remove_all(cluster: &Cluster, labels: &str) -> anyhow::Result<()> {
    let namespaces = cluster.names_of(objects::NAMESPACE, None, labels).await?;
    for namespace in &namespaces {
        for kind in objects::INSIDE {
            for name in cluster.names_of(kind, Some(namespace), labels).await? {
                cluster.remove(kind, Some(namespace), &name).await?;
            }
        }
    }
    for kind in objects::OUTSIDE.into_iter().chain([objects::NAMESPACE]) {
        for name in cluster.names_of(kind, None, labels).await? {
            cluster.remove(kind, None, &name).await?;
        }
    }
    let end = Instant::now() + REMOVING;
    for kind in objects::OUTSIDE.into_iter().chain([objects::NAMESPACE]) {
        loop {
            let left = cluster.names_of(kind, None, labels).await?;
            if left.is_empty() {
                break;
            }
            if Instant::now() >= end {
                anyhow::bail!("{} {} is still there after {REMOVING:?}", kind.name, left.join(", "));
            }
            sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Through the API server to the tester's port.
fn way(pod: &Pod) -> Way {
    let pod = Arc::new(pod.clone());
    Way::new(move || {
        let pod = Arc::clone(&pod);
        Box::pin(async move {
            let connection = pod.connect(objects::BACKEND_PORT).await.map_err(std::io::Error::other)?;
            Ok(Box::new(connection) as Box<dyn whip::Io>)
        })
    })
}

/// So many hexadecimal digits that nobody can guess.
fn random<const DIGITS: usize>() -> anyhow::Result<String> {
    let mut bytes = [0; DIGITS];
    getrandom::fill(&mut bytes).context("this machine gives no random numbers")?;
    Ok(bytes.iter().map(|byte| char::from_digit(u32::from(byte % 16), 16).unwrap_or('0')).collect())
}
