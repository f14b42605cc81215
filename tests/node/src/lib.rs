//! A whole Kubernetes node on this machine, without Docker and without the network: containerd, kubelet, API server,
//! controllers, scheduler, kube-proxy and CoreDNS, with addresses for LoadBalancer Services, and this repository's
//! images on it.
//!
//! Everything is in namespaces of its own, so nothing of it reaches the outside, nothing from outside reaches it, and
//! nothing of it is left when it ends, however it ends. A [`Node`] lives for as long as the closure it is given to;
//! threads and programs that the closure starts are in the node's network.

#![forbid(unsafe_code)]

mod balancer;
mod certificates;
mod containers;
mod groups;
mod images;
pub mod person;
mod programs;
mod report;
mod shell;
mod space;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use cluster::{Api, NodeSide, Server};
use kit::{Part, Watch};

pub use containers::Container;
pub use shell::{Answer, PATIENCE};

use crate::{balancer::Balancer, groups::Groups, programs::Programs, space::Space};

/// The node's own address, which is the API server's as well.
pub const ADDRESS: &str = "10.99.0.1";

/// The node's name.
pub const NAME: &str = "node";

/// Where the API server listens: nobody else is in this network.
const PORT: u16 = 6443;

/// Users beside the administrator: name, token and groups.
const USERS: [(&str, &str, &str); 3] = [
    ("system:node:node", "kubelet-token", "system:nodes"),
    ("system:kube-scheduler", "scheduler-token", ""),
    ("system:kube-proxy", "proxy-token", ""),
];

/// A running node.
#[derive(Debug)]
pub struct Node<'n> {
    part: &'n Part,
    folder: &'n Path,
    space: &'n Space,
    // Ended in this order: who asks the server goes first.
    _balancer: Balancer,
    server: Server,
    api: Api,
    programs: Programs<'n>,
    since: Watch,
}

/// Brings a node up, runs `story` with it, and takes it down. Nothing is run where the machine lacks a part, or where
/// it refuses what pods need; both are said. Whatever goes wrong before anything of this repository is on the node is
/// the machine's refusal.
#[track_caller]
pub fn with_a_node<T: Send>(story: impl FnOnce(&Node<'_>) -> T + Send) -> Option<T> {
    // Two nodes at once are more than two processors carry. What refused one refuses the next: it may have taken minutes.
    static REFUSAL: Mutex<Option<String>> = Mutex::new(None);
    let part = kit::need("node")?;
    let mut refusal = REFUSAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(why) = &*refusal {
        kit::excuse("node", why);
        return None;
    }
    kit::sweep();
    groups::sweep(GROUPS);
    let folder = kit::temp_dir();
    let told = attempt(|| prepare(&part, folder.path())).and_then(|(groups, space)| {
        let told = thread::scope(|scope| {
            // Built while the node comes up.
            let ours = scope.spawn(|| images::ours(&folder.path().join("images")));
            space.inside(|| {
                let node = attempt(|| Ok(Node::start(&part, folder.path(), &space, &groups)));
                let ours = ours.join();
                let node = node?;
                node.programs.import(&ours.unwrap_or_else(|panic| resume_unwind(panic)));
                Ok(story(&node))
            })
        });
        // The processes go first: groups can only be removed when they are empty.
        drop(space);
        drop(groups);
        told
    });
    if let Err(why) = &told {
        kit::excuse("node", why);
        *refusal = Some(why.clone());
    }
    told.ok()
}

/// What the names of a node's control groups begin with; the id of the process that keeps it follows.
const GROUPS: &str = "stunner-node-";

fn group_name(keeper: u32) -> String {
    format!("{GROUPS}{keeper}")
}

fn prepare(part: &Part, folder: &Path) -> Result<(Groups, Space), String> {
    fs::create_dir_all(folder.join("log")).map_err(|error| error.to_string())?;
    let groups = Groups::make(&group_name(std::process::id()))?;
    let space = Space::make(part, folder)?;
    Ok((groups, space))
}

/// What came of it, or in words what it was that did not come about.
fn attempt<T>(make: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason is known");
        Err(format!("a node: {}", text.lines().next().unwrap_or_default()))
    })
}

impl<'n> Node<'n> {
    fn start(part: &'n Part, folder: &'n Path, space: &'n Space, groups: &Groups) -> Self {
        let since = Watch::start();
        let certificates = folder.join("certificates");
        certificates::write(&certificates).expect("certificates");
        let mut programs = Programs::new(part, space, folder);
        programs.start_containers();
        programs.import(&images::theirs(part, &folder.join("base")));
        let address = ADDRESS.parse().expect("an address");
        let side = NodeSide { address, port: PORT, certificates, users: USERS.to_vec() };
        let server = Server::start_for(side).expect("the part was there a moment ago");
        programs.start_node(&server, &groups.path());
        let api = server.api();
        let balancer = Balancer::start(api.clone());
        let node = Self { part, folder, space, server, api, _balancer: balancer, programs, since };
        node.api.apply(include_str!("../files/dns.yaml"));
        node.await_pods("kube-system", "k8s-app=kube-dns", 1);
        node
    }

    /// The administrator's access.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The first process of the node's namespaces.
    pub(crate) fn space_id(&self) -> u32 {
        self.space.id()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.server.kubeconfig_of("admin")
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.report();
        }
    }
}
