//! How images are built: what can be said without building them.

use std::{collections::BTreeSet, process::Command};

use install::{Helm, Objects, read};
use serde_json::{Value, json};

const CONTAINERFILE: &str = "deploy/images/Containerfile";

/// The images of the Containerfile, and the instructions of each.
fn stages() -> Vec<(String, Vec<String>)> {
    let text = read(CONTAINERFILE);
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut stages: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines {
        match line.strip_prefix("FROM ").and_then(|rest| rest.split_once(" AS ")) {
            Some((_, name)) => stages.push((name.to_owned(), vec![line.to_owned()])),
            None => stages.last_mut().unwrap().1.push(line.to_owned()),
        }
    }
    stages
}

fn images() -> BTreeSet<String> {
    stages().into_iter().map(|(name, _)| name).filter(|name| name != "base").collect()
}

#[test]
fn images_are_made_from_nothing_and_run_as_nobody() {
    for (name, instructions) in stages() {
        let from =
            if name == "base" { "FROM scratch AS base".to_owned() } else { format!("FROM base AS {name}") };
        assert_eq!(instructions[0], from);
        let has = |start: &str| instructions.iter().any(|line| line.starts_with(start));
        assert!(!has("RUN "), "{name} would need a shell");
        if name == "base" {
            assert!(has("USER 65532:65532"));
        } else {
            assert!(!has("USER "), "{name}");
            assert!(has(r#"HEALTHCHECK CMD ["/health", "#) && has(r#"ENTRYPOINT ["/"#), "{name}: no shell");
        }
    }
}

#[test]
fn the_script_builds_what_the_containerfile_describes() {
    let script = read("scripts/images");
    let built: BTreeSet<String> = script
        .lines()
        .filter_map(|line| line.trim().strip_prefix('[')?.split_once("]='"))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(built, images());
}

#[test]
fn the_chart_and_the_examples_use_images_that_are_built() {
    let Some(helm) = Helm::find() else { return };
    let mut used: Vec<Value> = Vec::new();
    let objects = helm.template(&[]);
    let of_pods = |objects: &Objects| -> Vec<Value> {
        objects
            .of("Deployment")
            .map(|one| one["spec"]["template"]["spec"]["containers"][0]["image"].clone())
            .collect()
    };
    used.extend(of_pods(&objects));
    used.push(objects.get("Dataplane", "default")["spec"]["image"].clone());
    let example = read("docs/examples/direct-one2one-call/direct-one2one-call-server.yaml");
    used.extend(of_pods(&Objects::new(install::parse(&example))));
    let version = env!("CARGO_PKG_VERSION");
    let known: Vec<Value> =
        images().iter().map(|name| json!(format!("localhost/stunner/{name}:{version}"))).collect();
    assert_eq!(used.len(), 4);
    for image in used {
        assert!(known.contains(&image), "{image} is not among {known:?}");
    }
}

#[test]
fn what_a_program_consists_of_is_listed_with_licences_and_checksums() {
    let listed = Command::new("scripts/sbom").arg("health").current_dir(kit::workspace()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let list: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&list["bomFormat"], &list["specVersion"]), (&json!("CycloneDX"), &json!("1.5")));
    assert_eq!(list["components"].as_array().unwrap().len(), 1, "nothing but the standard library");

    let listed = Command::new("scripts/sbom").arg("stunnerd").current_dir(kit::workspace()).output().unwrap();
    let list: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let crates = list["components"].as_array().unwrap();
    let serde = crates.iter().find(|one| one["name"] == "serde").expect("stunnerd reads configurations");
    assert_eq!(serde["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(serde["hashes"][0]["content"].as_str().map(str::len), Some(64));
}
