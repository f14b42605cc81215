use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use config::Secret;
use serde_json::json;
use tempfile::TempDir;

use super::{Chosen, duration, read};
use crate::Error;

/// Two contexts, of which `test` is the current one.
fn kubeconfig() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "one", "cluster": {"server": "https://one:6443", "tls-server-name": "one.example"}},
            {"name": "two", "cluster": {"server": "https://two:6443"}},
        ],
        "users": [{"name": "me", "user": {"username": "me", "password": "mine"}}, {"name": "you", "user": {"token": "t"}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "one", "user": "me", "namespace": "media"}},
            {"name": "other", "context": {"cluster": "two"}},
        ],
    });
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, text.to_string()).expect("a file");
    (folder, file)
}

fn flags(file: &Path) -> flags::Kubernetes {
    flags::Kubernetes { kubeconfig: Some(file.to_owned()), ..flags::Kubernetes::default() }
}

async fn chosen(flags: &flags::Kubernetes) -> Chosen {
    read(flags).await.expect("usable").expect("a cluster")
}

#[tokio::test]
async fn flags_go_before_what_files_say() {
    let (_folder, file) = kubeconfig();
    let Chosen { config, origin, patience } = chosen(&flags(&file)).await;
    assert_eq!(config.cluster_url.to_string(), "https://one:6443/");
    assert_eq!((config.default_namespace.as_str(), patience), ("media", None));
    assert!(origin.starts_with("--kubeconfig "), "{origin}");

    let other = flags::Kubernetes { context: Some("other".to_owned()), ..flags(&file) };
    let Chosen { config, .. } = chosen(&other).await;
    assert_eq!(
        (config.cluster_url.to_string().as_str(), config.default_namespace.as_str()),
        ("https://two:6443/", "default")
    );

    let changed = flags::Kubernetes {
        cluster: Some("two".to_owned()),
        user: Some("you".to_owned()),
        server: Some("10.0.0.1:443".to_owned()),
        token: Some(Secret::from("mine")),
        insecure_skip_tls_verify: true,
        tls_server_name: Some("cluster.example".to_owned()),
        impersonate: Some("somebody".to_owned()),
        impersonate_groups: vec!["some".to_owned()],
        impersonate_uid: Some("7".to_owned()),
        impersonate_extra: vec!["scope=view".to_owned()],
        request_timeout: "1m30s".to_owned(),
        ..flags(&file)
    };
    let Chosen { config, patience, .. } = chosen(&changed).await;
    assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:443/");
    assert!(config.accept_invalid_certs && config.auth_info.username.is_none());
    assert_eq!(config.tls_server_name.as_deref(), Some("cluster.example"));
    assert_eq!(config.auth_info.impersonate.as_deref(), Some("somebody"));
    let headers: Vec<_> =
        config.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or(""))).collect();
    assert_eq!(headers, [("impersonate-uid", "7"), ("impersonate-extra-scope", "view")]);
    assert_eq!(patience, Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn a_server_and_a_token_are_enough() {
    let (_folder, file) = kubeconfig();
    std::fs::write(&file, "{apiVersion: v1, kind: Config}").expect("a file");
    let alone = flags::Kubernetes { server: Some("https://10.0.0.1:6443".to_owned()), ..flags(&file) };
    assert_eq!(chosen(&alone).await.config.cluster_url.to_string(), "https://10.0.0.1:6443/");
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let (_folder, file) = kubeconfig();
    for (changed, flag, problem) in [
        (
            flags::Kubernetes { context: Some("nothing".to_owned()), ..flags(&file) },
            "--kubeconfig",
            "nothing",
        ),
        (
            flags::Kubernetes { cluster: Some("nothing".to_owned()), ..flags(&file) },
            "--kubeconfig",
            "nothing",
        ),
        (flags(Path::new("/nowhere")), "--kubeconfig /nowhere", "No such file"),
        (flags::Kubernetes { request_timeout: "soon".to_owned(), ..flags(&file) }, "--request-timeout", "5s"),
        (
            flags::Kubernetes { impersonate_extra: vec!["x".to_owned()], ..flags(&file) },
            "--as-user-extra",
            "KEY=VALUE",
        ),
    ] {
        let error = read(&changed).await.err().map(|error: Error| error.to_string()).unwrap_or_default();
        assert!(error.contains(flag) && error.contains(problem), "{flag}: {error}");
    }
}

#[test]
fn durations_are_read_as_kubectl_does() {
    let read = |text| duration(text).ok();
    assert_eq!(read("0"), Some(None));
    assert_eq!(read("0s"), Some(None));
    assert_eq!(read("5"), Some(Some(Duration::from_secs(5))));
    assert_eq!(read("1.5s"), Some(Some(Duration::from_millis(1500))));
    assert_eq!(read("1h1m1s500ms"), Some(Some(Duration::from_millis(3_661_500))));
    for wrong in ["soon", "5x", "s", "1m5", "-1s", "1..5s"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}
