//! The node for people: brought up in the background by `make cluster-up`, taken down by `make cluster-down`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use kit::Deadline;

use crate::{ADDRESS, Node, groups, space, with_a_node};

/// How long bringing up may take: programs are built first.
const PATIENCE: Duration = Duration::from_secs(1800);

const LOOK: Duration = Duration::from_millis(200);

/// Where this machine's own programs reach the node's network, and the node's end of it.
const HERE: &str = "10.97.0.1";
const THERE: &str = "10.97.0.2";

/// How the chart is installed.
const INSTALL: &str =
    "helm install stunner deploy/helm/stunner --namespace stunner-system --create-namespace";

/// What to do once it is up.
const NEXT: &str = "
A Kubernetes node with stunner is up. Its network can be reached from this machine, and from nowhere else.

    export KUBECONFIG=KUBECONFIG_FILE PATH=PROGRAMS:$PATH
    kubectl get pods --all-namespaces

The tutorial, docs/examples/direct-one2one-call/README.md, from here:

    kubectl apply -f docs/examples/direct-one2one-call/direct-one2one-call-server.yaml
    kubectl apply -f docs/examples/direct-one2one-call/direct-one2one-call-stunner.yaml
    kubectl get gatewayconfigs,gateways,udproutes -n stunner
    kubectl get service -n stunner webrtc-server -o jsonpath='{.status.loadBalancer.ingress[0].ip}'

Open https://ADDRESS:8443 in two windows. Everything that is changed in the repository gets onto the node by
`make cluster-down cluster-up`.
";

/// What may go wrong, in words.
pub type Outcome = Result<(), String>;

/// Files of the node that is up, if one is.
struct State {
    folder: PathBuf,
}

impl State {
    fn find() -> Self {
        Self { folder: kit::cache().join("node") }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The process that keeps the node, if it is alive.
    fn keeper(&self) -> Option<u32> {
        let id = fs::read_to_string(self.file("id")).ok()?.trim().parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
        (name.trim() == "node").then_some(id)
    }
}

/// Starts a node in the background and waits until everything is installed on it.
///
/// # Errors
/// What is missing, or what the node said before it ended.
pub fn up() -> Outcome {
    let state = State::find();
    if state.keeper().is_some() {
        return Err("the node is up already; `make cluster-down` takes it down".to_owned());
    }
    let text = |error: io::Error| format!("{}: {error}", state.folder.display());
    drop(fs::remove_dir_all(&state.folder));
    fs::create_dir_all(&state.folder).map_err(text)?;
    let log = fs::File::create(state.file("log")).map_err(text)?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    // In a session of its own: an interrupt from the keyboard is for whoever waits.
    let mut keeper = Command::new("setsid")
        .arg(program)
        .arg("keep")
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(text)?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("setsid: {error}"))?;
    say("bringing up a node; this takes a minute or two, and longer the first time");
    let deadline = Deadline::after(PATIENCE);
    while !state.file("ready").exists() {
        let ended = keeper.try_wait().map_err(|error| error.to_string())?.is_some();
        if ended || deadline.left().is_none() {
            let log = fs::read_to_string(state.file("log")).unwrap_or_default();
            return Err(format!("the node did not come up; it said:\n{log}"));
        }
        thread::sleep(LOOK);
    }
    let kubeconfig = state.file("kubeconfig").display().to_string();
    let programs = kit::cache().join("kubernetes").display().to_string();
    say(&NEXT.replace("KUBECONFIG_FILE", &kubeconfig).replace("PROGRAMS", &programs));
    Ok(())
}

/// Keeps a node until it is told to end.
///
/// # Errors
/// A part is missing, or the kernel refuses what a node needs.
pub fn keep() -> Outcome {
    let state = State::find();
    let text = |error: io::Error| format!("{}: {error}", state.folder.display());
    fs::write(state.file("id"), std::process::id().to_string()).map_err(text)?;
    let kept = with_a_node(|node| {
        node.connect_with_this_machine();
        node.run("kubectl create namespace stunner");
        node.run(INSTALL);
        node.await_pods("stunner-system", "control-plane=stunner-gateway-operator-controller-manager", 1);
        node.await_pods("stunner-system", "app=stunner-auth", 1);
        let kubeconfig = fs::read_to_string(node.kubeconfig()).map_err(text)?;
        fs::write(state.file("kubeconfig"), kubeconfig.replace("127.0.0.1", ADDRESS)).map_err(text)?;
        fs::write(state.file("ready"), "").map_err(text)?;
        while !state.file("stop").exists() {
            thread::sleep(LOOK);
        }
        Ok(())
    });
    kept.unwrap_or_else(|| Err("`make parts` gets what is missing".to_owned()))
}

/// Takes the node down and removes everything it was made of.
///
/// # Errors
/// There is none, or something of it cannot be removed.
pub fn down() -> Outcome {
    let state = State::find();
    if !state.folder.exists() {
        return Err("no node is up".to_owned());
    }
    let text = |error: io::Error| format!("{}: {error}", state.folder.display());
    if let Some(id) = state.keeper() {
        fs::write(state.file("stop"), "").map_err(text)?;
        let deadline = Deadline::after(Duration::from_secs(120));
        while state.keeper() == Some(id) {
            if deadline.left().is_none() {
                // Its namespaces end with it.
                drop(Command::new("kill").args(["-KILL", &id.to_string()]).status());
            }
            thread::sleep(LOOK);
        }
    }
    // What a keeper that was killed could not remove.
    if let Some(id) = fs::read_to_string(state.file("id")).ok().and_then(|id| id.trim().parse().ok()) {
        groups::remove_all(&crate::group_name(id));
        if let Ok(folder) = fs::read_to_string(state.file("folder")) {
            drop(fs::remove_dir_all(folder.trim()));
        }
    }
    fs::remove_dir_all(&state.folder).map_err(text)?;
    say("the node is gone");
    Ok(())
}

impl Node<'_> {
    /// A pair of interfaces between the node's network and this machine's. It goes with the node.
    fn connect_with_this_machine(&self) {
        let (first, this) = (self.space_id(), std::process::id().to_string());
        for line in [
            format!("ip link add stunner-node type veth peer name host netns {first}"),
            format!("ip address add {HERE}/30 dev stunner-node"),
            "ip link set stunner-node up".to_owned(),
            format!("nsenter --target {first} --net ip address add {THERE}/30 dev host"),
            format!("nsenter --target {first} --net ip link set host up"),
            format!("ip route add 10.99.0.0/24 via {THERE}"),
        ] {
            // This thread is in the node's network; the one that the process began with is not.
            let mut words = vec!["--target", &this, "--net"];
            words.extend(line.split(' '));
            let output = Command::new("nsenter").args(&words).env("PATH", space::path()).output();
            let output = output.expect("nsenter runs");
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let state = State::find();
        let noted = fs::write(state.file("folder"), self.folder.display().to_string());
        noted.expect("the folder of the node can be written");
    }
}

fn say(text: &str) {
    // Nobody may be there to read it.
    drop(writeln!(io::stdout(), "{text}"));
}
