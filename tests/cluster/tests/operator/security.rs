//! Config discovery that does not tell secrets to everybody: who is let in, and over what.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use kit::{Deadline, Process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{BASE, CONFIG, DEPLOYMENT, World, condition, server};

const AUDIENCE: &str = "stunner-config-discovery";

/// An operator that looks at tokens, and a folder for what clients show and trust.
struct Guarded {
    world: World,
    folder: TempDir,
}

impl Guarded {
    #[track_caller]
    fn start(name: &str, flags: &[&str]) -> Option<Self> {
        let world = World::start(name, flags)?;
        world.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: account, namespace: NAME}}");
        Some(Self { world, folder: kit::temp_dir() })
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, text).expect("a file");
        file
    }

    /// A pod with the labels of a Gateway's dataplane.
    fn pod(&self, name: &str, gateway: &str) {
        let namespace = &self.world.name;
        let labels = json!({"app": "stunner", "stunner.l7mp.io/related-gateway-name": gateway,
            "stunner.l7mp.io/related-gateway-namespace": namespace});
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"serviceAccountName": "account", "containers": [{"name": "stunnerd", "image": "none"}]}});
        self.world.api.apply(&pod.to_string());
    }

    /// A file with a token of the account, for a pod if one is named.
    fn token(&self, audience: &str, pod: Option<&str>) -> PathBuf {
        let account = format!("{}/account", self.world.name);
        let token = self.world.api.token(&account, audience, pod);
        self.file(&format!("token-{audience}-{}", pod.unwrap_or("none")), &token)
    }

    fn stunnerctl(&self, arguments: &str, token: Option<&Path>, scheme: &str) -> Output {
        let mut command = Command::new(kit::binary("stunnerctl"));
        command.env_clear().env("HOME", self.folder.path()).args(arguments.split(' '));
        let address = self.world.operator().discovery_address();
        command.arg(format!("--cds-server-address={scheme}{address}"));
        command.args(token.map(|token| format!("--cds-token-file={}", token.display())));
        command.output().expect("it runs")
    }

    #[track_caller]
    fn is_given(&self, arguments: &str, token: &Path) -> String {
        let output = self.stunnerctl(arguments, Some(token), "");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Waits until the token lets somebody have what they ask for.
    #[track_caller]
    fn await_given(&self, arguments: &str, token: &Path) {
        let deadline = Deadline::default();
        while !self.stunnerctl(arguments, Some(token), "").status.success() {
            assert!(deadline.left().is_some(), "{}", self.is_refused(arguments, Some(token)));
        }
    }

    /// Why not.
    #[track_caller]
    fn is_refused(&self, arguments: &str, token: Option<&Path>) -> String {
        let output = self.stunnerctl(arguments, token, "");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{arguments}");
        text(&output.stderr)
    }
}

#[test]
fn w14_the_token_of_a_pod_gets_the_configuration_of_its_own_gateway_only() {
    let Some(guarded) = Guarded::start("w14-tokens", &["--config-discovery-check-tokens"]) else { return };
    let world = &guarded.world;
    world.operator().await_ready();
    world.apply(&BASE.replace("gateway-1", "gateway-2"));
    guarded.pod("one", "gateway-1");
    let own = guarded.token(AUDIENCE, Some("one"));
    let print = "-o jsonpath={.auth.realm}";
    guarded.await_given("config w14-tokens/gateway-1", &own);
    assert_eq!(guarded.is_given(&format!("config w14-tokens/gateway-1 {print}"), &own), "testrealm\n");
    for other in
        ["config w14-tokens/gateway-2", "config -n w14-tokens", "config -a", "config default/gateway-1"]
    {
        let reason = guarded.is_refused(other, Some(&own));
        assert!(reason.contains("403 Forbidden") && reason.contains("not a pod of that gateway"), "{reason}");
    }
    assert!(guarded.is_given("license", &own).contains("free"));

    let reason = guarded.is_refused("config w14-tokens/gateway-1", None);
    assert!(reason.contains("401 Unauthorized") && reason.contains("there is no token"), "{reason}");
    assert!(guarded.is_refused("license", None).contains("401 Unauthorized"));
    let made_up = guarded.file("made-up", "nonsense");
    assert!(guarded.is_refused("config w14-tokens/gateway-1", Some(&made_up)).contains("401 Unauthorized"));
    let for_others = guarded.token("others", Some("one"));
    let reason = guarded.is_refused("config w14-tokens/gateway-1", Some(&for_others));
    assert!(reason.contains("401 Unauthorized") && reason.contains(AUDIENCE), "{reason}");
    // The same account without the pod is nobody in particular.
    let unbound = guarded.token(AUDIENCE, None);
    assert!(guarded.is_refused("config w14-tokens/gateway-1", Some(&unbound)).contains("403 Forbidden"));
    // Nothing of it is in the log.
    let token = fs::read_to_string(&own).expect("a token");
    assert!(world.operator().process().lines().iter().all(|line| !line.contains(&token)));
}

#[test]
fn w14_others_get_what_roles_let_them_have() {
    let Some(guarded) = Guarded::start("w14-roles", &["--config-discovery-check-tokens"]) else { return };
    let world = &guarded.world;
    world.operator().await_ready();
    world.apply(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: NAME}, rules: \
         [{apiGroups: [stunner.l7mp.io], resources: [configs], verbs: [get, list]}]}\n---\n\
         {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reader, namespace: NAME}, \
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}, \
         subjects: [{kind: ServiceAccount, name: account, namespace: NAME}]}",
    );
    let token = guarded.token(AUDIENCE, None);
    guarded.await_given("config w14-roles/gateway-1", &token);
    let all = guarded.is_given("config -n w14-roles -o jsonpath={.admin.name}", &token);
    assert_eq!(all, "w14-roles/gateway-1\n");
    let reason = guarded.is_refused("config -a", Some(&token));
    assert!(reason.contains("403 Forbidden") && reason.contains("list configs.stunner.l7mp.io"), "{reason}");
    // What pods are told, so that they can show a token.
    let deployment = world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    let pod = &deployment["spec"]["template"]["spec"];
    let token = &pod["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!((&token["audience"], &token["path"]), (&json!(AUDIENCE), &json!("token")));
    let folder = pod["containers"][0]["volumeMounts"][0]["mountPath"].as_str().expect("a folder");
    let variables = pod["containers"][0]["env"].as_array().expect("variables");
    let file = variables.iter().find(|variable| variable["name"] == "CDS_TOKEN_FILE").expect("a file");
    assert_eq!(file["value"], format!("{folder}/token"));
}

/// An authority, and a certificate of it for this machine with its key.
fn certificates(authority: &str) -> (String, String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, authority);
    let authority = params.self_signed(&key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
    (authority, certificate, key.serialize_pem())
}

#[test]
fn w14_configurations_come_over_tls_from_a_certificate_that_is_renewed() {
    let folder = kit::temp_dir();
    let path = |name: &str| folder.path().join(name);
    let write = |(authority, certificate, key): &(String, String, String)| {
        for (name, text) in [("ca.crt", authority), ("tls.crt", certificate), ("tls.key", key)] {
            fs::write(path(name), text).expect("a file");
        }
    };
    let (first, second) = (certificates("the first"), certificates("the second"));
    write(&first);
    let flags = ["cert=tls.crt", "key=tls.key", "ca=ca.crt"].map(|flag| {
        let (name, file) = flag.split_once('=').expect("a pair");
        format!("--config-discovery-tls-{name}={}", path(file).display())
    });
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.push("--config-discovery-check-tokens");
    let Some(guarded) = Guarded::start("w14-tls", &flags) else { return };
    let world = &guarded.world;
    world.operator().await_ready();
    world.api.patch("stunner.l7mp.io/v1/Dataplane w14-tls", json!({"spec": {"disableHealthCheck": true}}));
    guarded.pod("one", "gateway-1");
    let token = guarded.token(AUDIENCE, Some("one"));
    let ask = |authority: &str, scheme: &str| {
        let authority = guarded.file("trusted.crt", authority);
        let arguments =
            format!("config w14-tls/gateway-1 -o jsonpath={{.auth.realm}} --cds-ca={}", authority.display());
        guarded.stunnerctl(&arguments, Some(&token), scheme)
    };
    let deadline = Deadline::default();
    while !ask(&first.0, "").status.success() {
        let output = ask(&first.0, "");
        assert!(deadline.left().is_some(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(String::from_utf8_lossy(&ask(&first.0, "https://").stdout), "testrealm\n");
    let wrong = ask(&second.0, "");
    let reason = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(1), 0));
    assert!(reason.contains("no TLS with 127.0.0.1") && reason.contains("UnknownIssuer"), "{reason}");
    assert_eq!(ask(&first.0, "http://").status.code(), Some(1), "nothing in the clear");

    // A dataplane gets in as its pod would.
    let port = kit::free_port();
    let listeners = json!([{"name": "udp", "port": port, "protocol": "TURN-UDP"}]);
    world.api.patch(&world.gateway(), json!({"spec": {"listeners": listeners}}));
    let mut command = Command::new(kit::binary("stunnerd"));
    command.args(["-w", "-u", "1"]).env("STUNNER_NAMESPACE", "w14-tls").env("STUNNER_NAME", "gateway-1");
    command.env("STUNNER_CONFIG_ORIGIN", format!("https://{}", world.operator().discovery_address()));
    command.env("CDS_CA", &first.0).env("CDS_TOKEN_FILE", &token).env("STUNNER_ADDR", "127.0.0.1");
    let daemon = Process::spawn(command);
    daemon.await_line("configuration in force: 1 listeners");

    // What is renewed counts for who connects from then on; what is broken changes nothing.
    fs::write(path("tls.key"), "broken").expect("a file");
    // Files are looked at when somebody comes.
    let deadline = Deadline::default();
    let is_told = |line: &String| line.contains("the certificate of before stays");
    while !world.operator().process().lines().iter().any(is_told) {
        assert!(deadline.left().is_some(), "{:?}", world.operator().process().lines());
        let _ = ask(&first.0, "");
    }
    assert!(ask(&first.0, "").status.success());
    write(&second);
    let deadline = Deadline::default();
    while !ask(&second.0, "").status.success() {
        assert!(deadline.left().is_some(), "{:?}", world.operator().process().lines());
    }
    assert_eq!(ask(&first.0, "").status.code(), Some(1));
    // What pods are told.
    let deployment = world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let value = |name: &str| {
        let found = variables.as_array()?.iter().find(|variable| variable["name"] == name)?;
        found["value"].as_str().map(str::to_owned)
    };
    assert_eq!(value("CDS_CA").as_deref(), Some(first.0.as_str()));
    assert!(
        value("STUNNER_CONFIG_ORIGIN").is_some_and(|origin| origin.starts_with("https://")),
        "{variables}"
    );
}

/// Secrets that are for something else, by their types, with what the API server wants in them.
fn foreign_secrets() -> [(&'static str, Value, Value); 3] {
    let account = json!({"kubernetes.io/service-account.name": "default"});
    [
        ("helm.sh/release.v1", json!({}), json!({})),
        ("kubernetes.io/service-account-token", account, json!({})),
        ("kubernetes.io/dockerconfigjson", json!({}), json!({".dockerconfigjson": "{}"})),
    ]
}

#[test]
fn w16_secrets_that_are_for_something_else_never_leave_the_api_server() {
    let Some(world) = World::start("w16-secrets", &[]) else { return };
    let secret = |name: &str, kind: &str, annotations: &Value, data: &Value| {
        let mut data = data.clone();
        data["username"] = name.into();
        data["password"] = "of-the-secret".into();
        let metadata = json!({"name": name, "namespace": world.name, "annotations": annotations});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "stringData": data});
        world.api.apply(&secret.to_string());
    };
    let foreign = foreign_secrets();
    for (at, (kind, annotations, data)) in foreign.iter().enumerate() {
        secret(&format!("foreign-{at}"), kind, annotations, data);
    }
    // This one is the last, so whoever knows it has seen the others if they were to be seen.
    secret("ours", "Opaque", &json!({}), &json!({}));
    let refer = |name: &str| {
        let spec = json!({"spec": {"authRef": {"name": name}}});
        world.api.patch(&world.at(CONFIG, "gatewayconfig-ok"), spec);
    };
    refer("ours");
    let last = world.await_config("ours", |config| config["auth"]["credentials"]["username"] == "ours");
    for at in 0..foreign.len() {
        let name = format!("foreign-{at}");
        refer(&name);
        world.api.await_object(&world.gateway(), &name, |gateway| {
            let conditions = &gateway["status"]["conditions"];
            condition(conditions, "Accepted").0 == "False"
                && conditions.to_string().contains(&format!("no Secret {}", world.id(&name)))
        });
        assert_eq!(world.await_config("as it was", |_| true), last);
    }
    // No operator asks in another way, whatever its flags are.
    let requests = server().expect("the server was there before").requests_for_secrets();
    assert!(
        requests.iter().any(|(verb, _)| verb == "list") && requests.iter().any(|(verb, _)| verb == "watch")
    );
    for (verb, address) in requests {
        assert!(verb == "list" || verb == "watch", "{verb} {address}");
        for (kind, ..) in &foreign {
            let selector =
                format!("type!={kind}").replace('!', "%21").replace('=', "%3D").replace('/', "%2F");
            assert!(address.contains(&selector), "{verb} {address}");
        }
    }
}
