//! The examples of the docs: each is read and rendered as `stunner up --dry-run` does, and nothing is amiss with it.

use std::path::Path;

use gateway::{
    Settings, Snapshot,
    manifest::{self, Manifests},
    render,
    standalone::{self, Host},
};
use install::{Certificate, parse, read, yaml_files};
use serde_json::{Value, json};

const EXAMPLES: &str = "docs/examples";
const TUTORIAL: &str = "docs/examples/direct-one2one-call";

/// What a cluster's controllers and its user add to an example: pods behind Services, certificates.
fn surroundings(objects: &[Value]) -> Vec<Value> {
    let mut more = Vec::new();
    for object in objects {
        let (name, namespace) = (&object["metadata"]["name"], &object["metadata"]["namespace"]);
        if object["kind"] == "Service" && object["spec"]["selector"]["app"] != "stunner" {
            more.push(json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name, "namespace": namespace,
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.244.0.7"], "conditions": {"ready": true}}],
            }));
        }
        let listeners = object["spec"]["listeners"].as_array().into_iter().flatten();
        for reference in
            listeners.flat_map(|listener| listener["tls"]["certificateRefs"].as_array().into_iter().flatten())
        {
            let Certificate { certificate, key } = Certificate::make();
            more.push(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {"name": reference["name"], "namespace": namespace},
                "data": {"tls.crt": certificate, "tls.key": key},
            }));
        }
    }
    more
}

/// What the renderer says about a file, its warnings included.
fn problems(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let added = manifest::documents(&surroundings(&parse(&text)));
    let Manifests { snapshot, errors, warnings, .. } =
        manifest::parse(file, &format!("{text}\n---\n{added}"));
    let findings = errors.into_iter().chain(warnings).map(|finding| finding.to_string());
    findings.chain(render_here(&snapshot)).collect()
}

fn render_here(snapshot: &Snapshot) -> Vec<String> {
    let settings = Settings::one_host();
    let host = Host { public_address: "203.0.113.7".into(), relay_addresses: vec![[203, 0, 113, 7].into()] };
    let complete = standalone::complete(snapshot, &settings, &host);
    render(&complete, &settings).problems.iter().map(ToString::to_string).collect()
}

/// Files with objects of ours; others, such as a compose file, are for other programs.
fn gateway_files() -> Vec<std::path::PathBuf> {
    let mut files = yaml_files(EXAMPLES);
    files.retain(|file| std::fs::read_to_string(file).unwrap().contains("stunner.l7mp.io/"));
    files
}

#[test]
fn every_example_renders_without_a_problem() {
    let files = gateway_files();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        assert_eq!(problems(&file), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn every_example_makes_a_gateway_that_leads_somewhere() {
    for file in gateway_files() {
        let objects = parse(&std::fs::read_to_string(&file).unwrap());
        let count = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).count();
        assert!(count("Gateway") > 0 && count("UDPRoute") > 0, "{}", file.display());
        let text = manifest::documents(&surroundings(&objects)) + "---\n" + &manifest::documents(&objects);
        let manifests = manifest::parse(&file, &text);
        let host =
            Host { public_address: "203.0.113.7".into(), relay_addresses: vec![[203, 0, 113, 7].into()] };
        let settings = Settings::one_host();
        let rendered = render(&standalone::complete(&manifests.snapshot, &settings, &host), &settings);
        for (id, config) in &rendered.configs {
            assert!(!config.listeners.is_empty(), "{}: {id}", file.display());
            let reachable = config.clusters.iter().flat_map(|cluster| &cluster.endpoints).count();
            assert!(reachable > 0, "{}: clients of {id} can reach nobody", file.display());
        }
    }
}

#[test]
fn t02_t06_the_tutorials_files_are_where_it_says_in_both_generations() {
    for (path, version) in [
        ("direct-one2one-call-stunner.yaml", "gateway.networking.k8s.io/v1"),
        ("v1alpha2/direct-one2one-call-stunner.yaml", "gateway.networking.k8s.io/v1alpha2"),
    ] {
        let objects = install::Objects::new(parse(&read(&format!("{TUTORIAL}/{path}"))));
        assert_eq!(objects.get("Gateway", "stunner/udp-gateway")["apiVersion"], version);
        assert_eq!(objects.get("GatewayClass", "stunner-gatewayclass")["apiVersion"], version);
        objects.get("Gateway", "stunner/tcp-gateway");
        let route = objects.get("UDPRoute", "stunner/stunner-headless");
        assert_eq!(route["spec"]["parentRefs"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn t03_t04_t05_the_application_is_in_its_namespace_with_the_names_of_the_tutorial() {
    let objects = install::Objects::new(parse(&read(&format!("{TUTORIAL}/direct-one2one-call-server.yaml"))));
    assert_eq!(
        objects.names(),
        [
            "Deployment stunner/webrtc-server",
            "Secret stunner/webrtc-server-secret",
            "Service stunner/webrtc-server"
        ]
    );
    let service = &objects.get("Service", "stunner/webrtc-server")["spec"];
    assert_eq!((&service["type"], &service["ports"][0]["port"]), (&json!("LoadBalancer"), &json!(8443)));
    let pod = &objects.get("Deployment", "stunner/webrtc-server")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let named =
        |variable: &str| container["env"].as_array().unwrap().iter().find(|one| one["name"] == variable);
    assert_eq!(named("STUNNER_AUTH_ADDR").unwrap()["value"], "stunner-auth.stunner-system.svc.cluster.local");
    assert!(named("STUNNER_GATEWAY").is_none(), "the filter is shipped as a comment");
    let probe = &container["readinessProbe"]["httpGet"];
    assert_eq!((&probe["scheme"], &probe["path"]), (&json!("HTTPS"), &json!("/healthz")), "d1");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn units_of_systemd_are_accepted_by_it() {
    let Some(systemd) = kit::need("systemd") else { return };
    let folder = kit::temp_dir();
    let unit = folder.path().join("stunner.service");
    // It looks for the program, which is not installed here.
    let text =
        read("docs/examples/virtual-machine/stunner.service").replace("/usr/local/bin/stunner", "/bin/true");
    std::fs::write(&unit, text).unwrap();
    let verified = systemd.command("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !said.contains("stunner.service"), "{said}");
}

#[test]
fn the_compose_file_confines_the_gateway_and_checks_its_health_without_a_shell() {
    let service = &parse(&read("docs/examples/compose/compose.yaml"))[0]["services"]["stunner"];
    assert_eq!((&service["read_only"], &service["user"]), (&json!(true), &json!("65532:65532")));
    assert_eq!(service["cap_drop"], json!(["ALL"]));
    assert_eq!(service["healthcheck"]["test"][0], "CMD");
    assert!(service["command"].as_array().unwrap().contains(&json!("--filename=/etc/stunner")));
}
