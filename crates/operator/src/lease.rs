//! Who of several replicas writes: the one that holds a Lease.
//!
//! The protocol is that of the Go client library, so replicas of both kinds can take turns. A holder that cannot renew
//! stops writing before anybody else may begin.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Which lease to hold, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace of the lease.
    pub namespace: String,
    /// Name of the lease.
    pub name: String,
    /// Who this is; different for every replica.
    pub identity: String,
    /// How long others wait after the last renewal before they take over.
    pub duration: Duration,
    /// How long the holder goes on without a renewal. Has to be less than [`Settings::duration`].
    pub deadline: Duration,
    /// Time between attempts.
    pub period: Duration,
}

impl Settings {
    /// The name and the times of the Go operator; the identity is the name of the pod.
    pub fn new(namespace: String) -> Self {
        let pod = std::env::var("HOSTNAME").unwrap_or_default();
        let identity = format!("{pod}_{}", clock::token());
        Self {
            namespace,
            name: "92062b70.l7mp.io".to_owned(),
            identity,
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            period: Duration::from_secs(2),
        }
    }
}

/// Whether this replica leads.
#[derive(Debug)]
pub struct Election {
    /// Whether it does, now and later.
    pub leader: watch::Receiver<bool>,
    /// Ends when the lease has been given back, which waits until nobody looks at `leader` any more.
    pub ended: JoinHandle<()>,
}

/// Nobody else is there: always the leader.
pub fn always() -> Election {
    let (sender, leader) = watch::channel(true);
    Election { leader, ended: tokio::spawn(async move { sender.closed().await }) }
}

/// Tries to get hold of the lease and to keep it until `stop`. Lets go of it at the end.
pub fn hold(client: Client, settings: Settings, stop: CancellationToken) -> Election {
    let (sender, leader) = watch::channel(false);
    let api = Api::namespaced(client, &settings.namespace);
    let mut candidate = Candidate { api, settings, rival: None, renewed: None };
    let ended = tokio::spawn(async move {
        loop {
            candidate.attempt(&sender).await;
            if stop.run_until_cancelled(sleep(candidate.settings.period)).await.is_none() {
                break;
            }
        }
        // Until the last write has ended: whoever waits takes over at once.
        while tokio::time::timeout(candidate.settings.period, sender.closed()).await.is_err() {
            candidate.attempt(&sender).await;
        }
        candidate.release().await;
    });
    Election { leader, ended }
}

struct Candidate {
    api: Api<Lease>,
    settings: Settings,
    /// The lease as somebody else last renewed it, and when that was seen. The clocks of machines are not compared.
    rival: Option<(String, Instant)>,
    renewed: Option<Instant>,
}

impl Candidate {
    async fn attempt(&mut self, leader: &watch::Sender<bool>) {
        let begun = Instant::now();
        let attempt = tokio::time::timeout(self.settings.period, self.try_hold()).await;
        match attempt {
            Ok(Ok(true)) => self.renewed = Some(begun),
            Ok(Ok(false)) => self.renewed = None,
            Ok(Err(error)) => tracing::warn!(target: "operator", %error, "the lease cannot be renewed"),
            Err(_) => tracing::warn!(target: "operator", "the lease cannot be renewed in time"),
        }
        let is_leader = self.renewed.is_some_and(|renewed| renewed.elapsed() < self.settings.deadline);
        let changed = leader.send_if_modified(|was| std::mem::replace(was, is_leader) != is_leader);
        if changed {
            let lease = format!("{}/{}", self.settings.namespace, self.settings.name);
            let what = if is_leader { "leading from now on" } else { "no longer leading" };
            tracing::info!(target: "operator", lease, identity = self.settings.identity, "{what}");
        }
    }

    /// Whether the lease is held after this.
    async fn try_hold(&mut self) -> kube::Result<bool> {
        let Some(mut lease) = self.api.get_opt(&self.settings.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.renewed_spec(&LeaseSpec::default())),
            };
            return settle(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder != self.settings.identity && !holder.is_empty() && !self.is_over(&lease, &spec) {
            return Ok(false);
        }
        lease.spec = Some(self.renewed_spec(&spec));
        // The version in the metadata makes sure that nobody else was faster.
        settle(self.api.replace(&self.settings.name, &PostParams::default(), &lease).await)
    }

    /// Whether another's lease was not renewed for its whole duration, by this machine's clock.
    fn is_over(&mut self, lease: &Lease, spec: &LeaseSpec) -> bool {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
        let duration = Duration::from_secs(seconds).max(self.settings.period);
        match &self.rival {
            Some((known, since)) if *known == version => since.elapsed() > duration,
            _ => {
                self.rival = Some((version, Instant::now()));
                false
            }
        }
    }

    fn renewed_spec(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(clock::timestamp());
        let is_new = before.holder_identity.as_deref() != Some(&self.settings.identity);
        let transitions = before.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.settings.duration.as_secs()).unwrap_or(i32::MAX)),
            renew_time: Some(now.clone()),
            acquire_time: if is_new { Some(now) } else { before.acquire_time.clone() },
            lease_transitions: Some(if is_new { transitions + 1 } else { transitions }),
            ..before.clone()
        }
    }

    async fn release(&self) {
        if self.renewed.is_none() {
            return;
        }
        let Ok(Some(mut lease)) = self.api.get_opt(&self.settings.name).await else { return };
        let Some(spec) = &mut lease.spec else { return };
        if spec.holder_identity.as_deref() == Some(&self.settings.identity) {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            if let Err(error) = self.api.replace(&self.settings.name, &PostParams::default(), &lease).await {
                tracing::info!(target: "operator", %error, "the lease was not given back");
            }
        }
    }
}

/// A race that was lost is no error.
fn settle(answer: kube::Result<Lease>) -> kube::Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}
