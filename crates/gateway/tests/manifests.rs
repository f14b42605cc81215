//! Objects from files.

use std::fs;

use gateway::{Settings, api::Key, manifest, render};

const CONFIG: &str = "
apiVersion: stunner.l7mp.io/v1
kind: GatewayConfig
metadata: {name: NAME, namespace: media}
spec: {userName: user, password: hunter2}
";

#[test]
fn a_directory_is_read_in_the_order_of_names_without_what_is_below_or_hidden() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, object: &str| {
        fs::write(directory.path().join(name), CONFIG.replace("NAME", object)).unwrap();
    };
    fs::create_dir(directory.path().join("below")).unwrap();
    fs::create_dir(directory.path().join("folder.yaml")).unwrap();
    write("b.yml", "b");
    write("a.yaml", "a");
    write("c.json", "c");
    write("below/d.yaml", "d");
    write(".hidden.yaml", "e");
    write("notes.txt", "f");

    let manifests = manifest::load([directory.path()]);
    assert_eq!(manifests.errors, []);
    let files: Vec<_> = manifests.files.iter().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(files, ["a.yaml", "b.yml", "c.json"]);
    let names: Vec<_> = manifests.snapshot.gateway_configs.keys().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn what_is_not_there_is_an_error_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (there, missing) = (directory.path().join("there.yaml"), directory.path().join("missing.yaml"));
    fs::write(&there, CONFIG.replace("NAME", "a")).unwrap();
    let manifests = manifest::load([&missing, &there]);
    assert_eq!(manifests.errors.len(), 1);
    assert_eq!(manifests.errors[0].file, missing);
    assert_eq!(manifests.errors[0].line, None);
    assert_eq!(manifests.snapshot.gateway_configs.len(), 1);
}

#[test]
fn errors_name_file_and_line_and_no_secret() {
    let text = "---\n# a comment\n---\nkind: GatewayConfig\napiVersion: stunner.l7mp.io/v1\nmetadata:\n  name: a\nspec:\n  \
                password: [hunter2]\n";
    let manifests = manifest::parse("dir/file.yaml", text);
    let errors: Vec<_> = manifests.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("dir/file.yaml:9: GatewayConfig: "), "{errors:?}");
    assert!(!errors[0].contains("hunter2"), "{errors:?}");
}

#[test]
fn lines_are_right_with_windows_line_ends_and_a_byte_order_mark() {
    let text = "\u{feff}---\r\napiVersion: v1\r\nkind: Pod\r\n---\r\nkey: [\r\n";
    let manifests = manifest::parse("file.yaml", text);
    assert_eq!(manifests.skipped.iter().collect::<Vec<_>>(), ["v1 Pod"]);
    assert_eq!(manifests.errors.len(), 1);
    assert!(manifests.errors[0].line.is_some_and(|line| (5..=6).contains(&line)), "{:?}", manifests.errors);
}

#[test]
fn namespaces_default_and_cluster_scoped_objects_have_none() {
    let text = "
apiVersion: stunner.l7mp.io/v1
kind: GatewayConfig
metadata: {name: a}
---
apiVersion: stunner.l7mp.io/v1
kind: Dataplane
metadata: {name: a, namespace: media}
";
    let snapshot = manifest::parse("file.yaml", text).snapshot;
    assert!(snapshot.gateway_configs.contains_key(&Key::new("default", "a")));
    assert!(snapshot.dataplanes.contains_key(&Key::cluster("a")));
}

#[test]
fn null_is_the_same_as_absent() {
    let text = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a, labels: null, creationTimestamp: null}
spec: {gatewayClassName: a, listeners: null}
status: null
";
    let manifests = manifest::parse("file.yaml", text);
    assert_eq!(manifests.errors, []);
    assert_eq!(manifests.snapshot.gateways.len(), 1);
}

#[test]
fn what_is_rendered_can_be_printed_and_printing_secrets_takes_intent() {
    let manifests = manifest::parse("file.yaml", &CONFIG.replace("NAME", "a"));
    assert!(!format!("{manifests:?}").contains("hunter2"));
    assert!(manifest::to_yaml(&manifests.snapshot).contains("hunter2"));
    assert!(!format!("{:?}", render(&manifests.snapshot, &Settings::default())).contains("hunter2"));
}

#[test]
fn both_generations_of_the_tutorial_are_read_without_a_word() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/direct-one2one-call");
    for file in ["direct-one2one-call-stunner.yaml", "v1alpha2/direct-one2one-call-stunner.yaml"] {
        let manifests = manifest::load([format!("{examples}/{file}")]);
        assert_eq!(manifests.errors, [], "{file}");
        assert!(manifests.skipped.is_empty(), "{file}");
        assert_eq!(manifests.snapshot.gateways.len(), 2, "{file}");
    }
}
