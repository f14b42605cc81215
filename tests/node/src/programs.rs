use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cluster::Server;
use kit::{Part, Process};

use crate::{ADDRESS, NAME, space::Space};

/// The programs of a node, beside the API server. They end with the namespaces that they run in.
#[derive(Debug)]
pub(crate) struct Programs<'n> {
    part: &'n Part,
    space: &'n Space,
    folder: PathBuf,
    running: Vec<Process>,
}

impl<'n> Programs<'n> {
    pub(crate) fn new(part: &'n Part, space: &'n Space, folder: &Path) -> Self {
        Self { part, space, folder: folder.to_owned(), running: Vec::new() }
    }

    /// Starts what runs containers.
    pub(crate) fn start_containers(&mut self) {
        let snapshotter = fs::read_to_string(self.folder.join("snapshotter")).unwrap_or_default();
        let config = include_str!("../files/containerd.toml").replace("SNAPSHOTTER", snapshotter.trim());
        self.write("containerd.toml", &config);
        self.write("cni/10-pods.conflist", include_str!("../files/cni.json"));
        let mut containerd = self.part.command("containerd");
        containerd.arg("--config").arg(self.folder.join("containerd.toml"));
        self.start("containerd", &containerd);
        self.await_containers();
    }

    /// Gives these images to what runs containers.
    pub(crate) fn import(&self, images: &[PathBuf]) {
        for image in images {
            crate::images::import(self.part, self.space, &self.folder, image);
        }
    }

    /// Starts what runs pods, routes Services and keeps objects in step.
    pub(crate) fn start_node(&mut self, server: &Server, groups: &str) {
        let config = include_str!("../files/kubelet.yaml").replace("CGROUPS", groups);
        self.write("kubelet.yaml", &config);
        self.write("resolv.conf", "");
        let kubeconfig = |user: &str| format!("--kubeconfig={}", server.kubeconfig_of(user).display());
        let file = |name: &str| self.folder.join(name).display().to_string();

        let mut manager = self.part.command("kube-controller-manager");
        manager.args([
            kubeconfig("admin"),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--root-ca-file={}", file("certificates/authority.pem")),
            format!("--service-account-private-key-file={}", server.signing_key().display()),
        ]);
        let mut scheduler = self.part.command("kube-scheduler");
        scheduler.args([kubeconfig("system:kube-scheduler").as_str(), "--leader-elect=false"]);
        scheduler.arg("--bind-address=127.0.0.1");
        let mut kubelet = self.part.command("kubelet");
        kubelet.args([
            kubeconfig(&format!("system:node:{NAME}")),
            format!("--config={}", file("kubelet.yaml")),
            format!("--root-dir={}", file("kubelet")),
            format!("--cert-dir={}", file("kubelet-certificates")),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={ADDRESS}"),
        ]);
        let mut proxy = self.part.command("kube-proxy");
        proxy.args([
            kubeconfig("system:kube-proxy").as_str(),
            "--proxy-mode=iptables",
            "--cluster-cidr=10.98.0.0/24",
            &format!("--hostname-override={NAME}"),
            // It may not change what belongs to the whole machine.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ]);
        for (name, command) in [
            ("kube-controller-manager", manager),
            ("kube-scheduler", scheduler),
            ("kubelet", kubelet),
            ("kube-proxy", proxy),
        ] {
            self.start(name, &command);
        }
    }

    fn start(&mut self, name: &str, command: &Command) {
        self.running.push(Process::spawn(self.space.command(command, name)));
    }

    fn await_containers(&self) {
        let deadline = crate::images::patience();
        let mut version = ctr(self.part, &self.folder);
        version.arg("version");
        loop {
            let answer = self.space.command(&version, "version").output().expect("nsenter runs");
            if answer.status.success() {
                return;
            }
            assert!(deadline.left().is_some(), "containerd does not answer");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.folder.join(name);
        let folder = file.parent().expect("files are in folders");
        fs::create_dir_all(folder).expect("a folder can be made");
        let text = text.replace("FOLDER", &self.folder.display().to_string());
        fs::write(&file, text).expect("a file can be written");
    }
}

/// The command that asks containerd, which can be reached from everywhere.
pub(crate) fn ctr(part: &Part, folder: &Path) -> Command {
    let mut command = part.command("ctr");
    command.arg("--address").arg(folder.join("containerd.sock")).args(["--namespace", "k8s.io"]);
    command
}
