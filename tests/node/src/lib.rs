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
    path::{Path, PathBuf},
    sync::Mutex,
};

use cluster::{Api, NodeSide, Server};
use kit::Part;

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
    _programs: Programs<'n>,
}

/// Brings a node up, runs `story` with it, and takes it down. Nothing is run where the machine lacks a part, or where
/// its kernel refuses what pods need; both are said.
#[track_caller]
pub fn with_a_node<T: Send>(story: impl FnOnce(&Node<'_>) -> T + Send) -> Option<T> {
    // Two nodes at once are more than two processors carry.
    static ONE: Mutex<()> = Mutex::new(());
    let part = kit::need("node")?;
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = kit::temp_dir();
    let made = prepare(&part, folder.path());
    let (groups, space) = match made {
        Ok(made) => made,
        Err(why) => {
            kit::excuse("node", &why);
            return None;
        }
    };
    let images = images::build(&part, &folder.path().join("images"));
    let told = space.inside(|| {
        let node = Node::start(&part, folder.path(), &space, &groups, &images);
        story(&node)
    });
    // The processes go first: groups can only be removed when they are empty.
    drop(space);
    drop(groups);
    Some(told)
}

/// The name of a node's control groups: that of the process that keeps it is in it.
fn group_name(keeper: u32) -> String {
    format!("stunner-node-{keeper}")
}

fn prepare(part: &Part, folder: &Path) -> Result<(Groups, Space), String> {
    fs::create_dir_all(folder.join("log")).map_err(|error| error.to_string())?;
    let groups = Groups::make(&group_name(std::process::id()))?;
    let space = Space::make(part, folder)?;
    Ok((groups, space))
}

impl<'n> Node<'n> {
    fn start(
        part: &'n Part,
        folder: &'n Path,
        space: &'n Space,
        groups: &Groups,
        images: &[PathBuf],
    ) -> Self {
        let certificates = folder.join("certificates");
        certificates::write(&certificates).expect("certificates");
        let mut programs = Programs::new(part, space, folder);
        programs.start_containers(images);
        let address = ADDRESS.parse().expect("an address");
        let side = NodeSide { address, port: PORT, certificates, users: USERS.to_vec() };
        let server = Server::start_for(side).expect("the part was there a moment ago");
        programs.start_node(&server, &groups.path());
        let api = server.api();
        let balancer = Balancer::start(api.clone());
        let node = Self { part, folder, space, server, api, _balancer: balancer, _programs: programs };
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
        if std::thread::panicking() {
            self.report();
        }
    }
}
