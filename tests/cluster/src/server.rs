use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use kit::{Deadline, Part, Process};
use tempfile::TempDir;

use crate::{Api, Proxy};

/// Which release of the Gateway API the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayApi {
    /// The newest one, with v1.
    Current,
    /// The one of the tutorial's older pages, whose Gateways print READY.
    Old,
    /// The set of kinds of the chart that serves both and prints what those pages show.
    Tutorial,
}

impl GatewayApi {
    fn folder(self) -> PathBuf {
        let version = match self {
            Self::Current => "v1.5.1",
            Self::Old => "v0.5.1",
            Self::Tutorial => return kit::workspace().join("deploy/helm/stunner/charts/tutorialCrds/crds"),
        };
        kit::cache().join("gateway-api").join(version)
    }

    /// Where the definitions of our own kinds are.
    fn own_folder(self) -> PathBuf {
        match self {
            Self::Current | Self::Old => kit::workspace().join("deploy/crds"),
            Self::Tutorial => self.folder(),
        }
    }
}

/// Kinds of the Gateway API that are installed; there are many more.
const KINDS: [&str; 4] = ["gatewayclasses", "gateways", "udproutes", "referencegrants"];

/// What an API server needs to know of the node that its pods run on.
#[derive(Debug, Clone)]
pub struct NodeSide {
    /// The address of the server, as pods and the kubelet reach it.
    pub address: IpAddr,
    /// The port of the server.
    pub port: u16,
    /// Folder with `server.pem` and `server.key`, whom the server is to pods, and `kubelet.pem` and `kubelet.key`,
    /// whom it is to the kubelet.
    pub certificates: PathBuf,
    /// Further users: name, token and groups.
    pub users: Vec<(&'static str, &'static str, &'static str)>,
}

/// A running API server with its store.
#[derive(Debug)]
pub struct Server {
    part: Part,
    folder: TempDir,
    etcd_port: u16,
    port: u16,
    node: Option<NodeSide>,
    etcd: Option<Process>,
    process: Option<Process>,
}

/// Ends the program behind it when the test is over, however it ends: its standard input is then closed.
const LEASH: &str = r#""$@" & child=$!; trap 'kill -KILL $child' TERM; cat >/dev/null; kill -KILL $child"#;

/// What the server notes of requests: those of the operator for Secrets, before they are answered.
const AUDIT: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted, ResponseComplete, Panic]
rules:
  - {level: Metadata, users: ['USER'], resources: [{group: '', resources: [secrets]}]}
  - {level: None}
";

/// Flags of a server without nodes.
const ALONE: [&str; 5] = [
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--authorization-mode=RBAC",
    "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112",
    "--disable-admission-plugins=ServiceAccount",
];

/// Flags of a server whose node is reached from it, and reaches it.
fn flags_with_a_node(node: &NodeSide) -> Vec<String> {
    let file = |name: &str| node.certificates.join(name).display().to_string();
    vec![
        "--bind-address=0.0.0.0".to_owned(),
        format!("--advertise-address={}", node.address),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        format!("--tls-cert-file={}", file("server.pem")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--kubelet-client-certificate={}", file("kubelet.pem")),
        format!("--kubelet-client-key={}", file("kubelet.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--allow-privileged".to_owned(),
    ]
}

/// The user who may do everything.
const ADMIN: (&str, &str) = ("admin", "admin-token");

/// The service account of the operator.
pub(crate) const OPERATOR: (&str, &str) =
    ("system:serviceaccount:stunner-system:stunner-gateway-operator-controller-manager", "operator-token");

impl Server {
    /// Starts one, if the machine has the programs for it.
    #[track_caller]
    pub fn start(gateway_api: GatewayApi) -> Option<Self> {
        let server = Self::bare(kit::free_port(), None)?;
        server.install(gateway_api);
        Some(server)
    }

    /// Starts one for a node with pods, with nothing installed, if the machine has the programs for it.
    #[track_caller]
    pub fn start_for(node: NodeSide) -> Option<Self> {
        Self::bare(node.port, Some(node))
    }

    #[track_caller]
    fn bare(port: u16, node: Option<NodeSide>) -> Option<Self> {
        let part = kit::need("kube-apiserver")?;
        let folder = kit::temp_dir();
        let mut server =
            Self { part, folder, etcd_port: kit::free_port(), port, node, etcd: None, process: None };
        server.write_tokens();
        let policy = AUDIT.replace("USER", OPERATOR.0);
        fs::write(server.folder.path().join("audit.yaml"), policy).expect("a folder that can be written");
        for (user, token, _) in server.users() {
            server.write_kubeconfig((user, token));
        }
        server.start_etcd();
        server.start_api_server();
        Some(server)
    }

    /// Everybody who may come in, with token and groups.
    fn users(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut users = vec![
            (ADMIN.0, ADMIN.1, "system:masters"),
            (OPERATOR.0, OPERATOR.1, "system:serviceaccounts,system:authenticated"),
        ];
        users.extend(self.node.iter().flat_map(|node| node.users.iter().copied()));
        users
    }

    /// Kubeconfig of a user.
    pub fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.folder.path().join(format!("{}.kubeconfig", user.replace(':', "-")))
    }

    /// The key that signs the tokens of service accounts.
    pub fn signing_key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// The administrator's access.
    pub fn api(&self) -> Api {
        Api::connect(&self.kubeconfig(ADMIN))
    }

    /// What `kubectl` prints to the administrator.
    #[track_caller]
    pub fn kubectl(&self, kubectl: &Part, arguments: &[&str]) -> String {
        let mut command = kubectl.command("kubectl");
        command.arg("--kubeconfig").arg(self.kubeconfig(ADMIN)).args(arguments);
        // What it learns of the API server is kept in the home directory, by address.
        command.arg("--cache-dir").arg(self.folder.path().join("kubectl"));
        let output = command.output().expect("kubectl runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Kubeconfig of the administrator.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.kubeconfig(ADMIN)
    }

    /// Kubeconfig of the operator.
    pub fn operator_kubeconfig(&self) -> PathBuf {
        self.kubeconfig(OPERATOR)
    }

    /// The administrator's access, for those who do not want to wait.
    pub(crate) fn client(&self, runtime: &tokio::runtime::Runtime) -> kube::Client {
        crate::api::client(&self.kubeconfig(ADMIN), runtime)
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Kubeconfig of the operator that leads through a proxy.
    pub fn operator_kubeconfig_through(&self, proxy: &Proxy) -> PathBuf {
        let direct = fs::read_to_string(self.operator_kubeconfig()).expect("a kubeconfig");
        let through = direct.replace(&self.address().to_string(), &proxy.address().to_string());
        let file = self.folder.path().join(format!("through-{}.kubeconfig", proxy.address().port()));
        fs::write(&file, through).expect("a folder that can be written");
        file
    }

    /// Kills the API server; what it stored stays.
    pub fn kill_api_server(&mut self) {
        self.process = None;
    }

    /// Starts the API server again.
    #[track_caller]
    pub fn start_api_server(&mut self) {
        let folder = self.folder.path();
        let file = |name: &str| folder.join(name).display().to_string();
        let mut command = leashed(&self.part.command("kube-apiserver"));
        command.args([
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--cert-dir={}", file("certificates")),
            format!("--secure-port={}", self.port),
            "--service-account-issuer=https://cluster".to_owned(),
            format!("--service-account-signing-key-file={}", file("key.pem")),
            format!("--service-account-key-file={}", file("public.pem")),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--audit-policy-file={}", file("audit.yaml")),
            format!("--audit-log-path={}", file("audit.log")),
            "--profiling=false".to_owned(),
            "--v=0".to_owned(),
        ]);
        command.args(self.node.as_ref().map_or_else(|| ALONE.map(str::to_owned).to_vec(), flags_with_a_node));
        self.process = Some(Process::spawn(command));
        Api::connect(&self.kubeconfig(ADMIN)).await_ready(Deadline::after(Duration::from_secs(120)));
    }

    /// Verb and address of every request for Secrets that an operator has made.
    pub fn requests_for_secrets(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.folder.path().join("audit.log")).expect("what the server notes");
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let events = whole.map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        events.map(|event| (text(&event["verb"]), text(&event["requestURI"]))).collect()
    }

    /// Stops the store in its tracks, or lets it go on.
    pub fn pause_etcd(&self, pause: bool) {
        let etcd = self.etcd.as_ref().expect("etcd runs");
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", etcd.id())).unwrap_or_default();
        let signal = if pause { "-STOP" } else { "-CONT" };
        for child in children.split_whitespace() {
            let comm = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            if comm.trim() == "etcd" {
                let status = Command::new("kill").args([signal, child]).status().expect("kill runs");
                assert!(status.success(), "kill {signal} {child}");
            }
        }
    }

    fn start_etcd(&mut self) {
        let mut command = leashed(&self.part.command("etcd"));
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", kit::free_port());
        command.arg(format!("--data-dir={}", self.folder.path().join("etcd").display()));
        command
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"));
        command
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"));
        command.arg(format!("--initial-cluster=default={peer}"));
        command.args(["--unsafe-no-fsync", "--log-level=error"]);
        self.etcd = Some(Process::spawn(command));
        kit::await_tcp(([127, 0, 0, 1], self.etcd_port).into());
    }

    fn write_tokens(&self) {
        let users = self.users();
        let rows = users.iter().enumerate();
        let rows = rows.map(|(id, (user, token, groups))| format!("{token},{user},{id},\"{groups}\"\n"));
        let tokens: String = rows.collect();
        fs::write(self.folder.path().join("tokens.csv"), tokens).expect("a folder that can be written");
        let key = rcgen::KeyPair::generate().expect("a key");
        fs::write(self.folder.path().join("key.pem"), key.serialize_pem())
            .expect("a folder that can be written");
        let public = key.public_key_pem();
        fs::write(self.folder.path().join("public.pem"), public).expect("a folder that can be written");
    }

    fn kubeconfig(&self, (user, _): (&str, &str)) -> PathBuf {
        self.kubeconfig_of(user)
    }

    fn write_kubeconfig(&self, (user, token): (&str, &str)) {
        let text = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{
                "name": "test",
                "cluster": {
                    "server": format!("https://127.0.0.1:{}", self.port),
                    "insecure-skip-tls-verify": true,
                },
            }],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        });
        fs::write(self.kubeconfig((user, token)), text.to_string()).expect("a folder that can be written");
    }

    fn install(&self, gateway_api: GatewayApi) {
        let api = self.api();
        for kind in KINDS {
            api.apply_file(&gateway_api.folder().join(format!("gateway.networking.k8s.io_{kind}.yaml")));
        }
        for file in sorted(&gateway_api.own_folder()) {
            if file.to_string_lossy().contains("stunner.l7mp.io_") {
                api.apply_file(&file);
            }
        }
        api.apply("{apiVersion: v1, kind: Namespace, metadata: {name: stunner-system}}");
        api.apply_file(&kit::workspace().join("deploy/rbac.yaml"));
        api.await_kinds();
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn leashed(program: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", LEASH, "sh"]).arg(program.get_program());
    command
}
