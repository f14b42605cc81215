//! Loading from and following a file.

use std::{fs, path::Path, sync::Arc};

use cds::{Event, Options, Origin, Scope, Watch, file::Contents};

use crate::common::{SOON, config, event, options, pair, told};

fn watch(path: &Path) -> Watch {
    cds::watch(&Origin::File(path.to_owned()), Scope::All, options()).expect("watch")
}

/// The next content, or why there is none.
async fn content(contents: &mut Contents) -> Result<String, String> {
    tokio::time::timeout(SOON, contents.next()).await.expect("news").map_err(|error| error.to_string())
}

fn put(path: &Path, id: &str, realm: &str) {
    fs::write(path, config(id, realm).to_yaml()).expect("write");
}

#[tokio::test]
async fn f01_a_file_that_appears_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later").join("stunnerd.conf");
    let mut watch = watch(&path);
    fs::create_dir(path.parent().unwrap()).unwrap();
    put(&path, "a/x", "1");
    assert_eq!(told(&mut watch).await, pair("a/x", "1"));
    assert_eq!(event(&mut watch).await, Event::Synced);
}

#[tokio::test]
async fn f02_bad_content_is_told_once_and_waited_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stunnerd.conf");
    put(&path, "a/x", "1");
    let mut watch = watch(&path);
    let mut contents = Contents::new(path.clone(), options().timing).unwrap();
    assert_eq!(told(&mut watch).await, pair("a/x", "1"));
    assert!(content(&mut contents).await.is_ok());
    for bad in ["version: v1\nlisteners: [{}]\n", "{", "version: v3"] {
        fs::write(&path, bad).unwrap();
        assert_eq!(content(&mut contents).await.unwrap(), bad);
    }
    fs::write(&path, "").unwrap();
    assert!(content(&mut contents).await.unwrap_err().contains("is empty"));
    fs::remove_file(&path).unwrap();
    assert!(content(&mut contents).await.unwrap_err().contains("cannot read"));
    put(&path, "a/x", "1");
    assert!(content(&mut contents).await.is_ok());
    put(&path, "a/x", "2");
    assert_eq!(event(&mut watch).await, Event::Synced);
    let Event::Config(config) = event(&mut watch).await else { panic!("a configuration") };
    assert_eq!(config.auth.realm, "2", "the same as before is not told again");
}

#[tokio::test]
async fn f03_older_content_is_converted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stunnerd.conf");
    put(&path, "a/x", "1");
    let mut watch = watch(&path);
    assert_eq!(told(&mut watch).await, pair("a/x", "1"));
    assert_eq!(event(&mut watch).await, Event::Synced);
    fs::write(&path, "version: v1alpha1\nauth: {type: longterm, realm: old, credentials: {secret: s}}\n")
        .unwrap();
    let Event::Config(config) = event(&mut watch).await else { panic!("a configuration") };
    assert!(config.to_json().starts_with(r#"{"version":"v1","#));
    assert_eq!((config.auth.kind, config.auth.realm.as_str()), (config::AuthKind::Ephemeral, "old"));
}

#[tokio::test]
async fn any_way_to_replace_a_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stunnerd.conf");
    put(&path, "a/x", "1");
    let mut watch = watch(&path);
    assert_eq!(told(&mut watch).await, pair("a/x", "1"));

    let new = folder.path().join("new");
    put(&new, "a/x", "renamed over");
    fs::rename(&new, &path).unwrap();
    assert_eq!(told(&mut watch).await, pair("a/x", "renamed over"));

    fs::rename(&path, folder.path().join("backup~")).unwrap();
    put(&path, "a/x", "written anew");
    assert_eq!(told(&mut watch).await, pair("a/x", "written anew"));

    fs::remove_dir_all(folder.path()).unwrap();
    fs::create_dir(folder.path()).unwrap();
    put(&path, "a/x", "in a new folder");
    assert_eq!(told(&mut watch).await, pair("a/x", "in a new folder"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_config_map_volume_is_followed() {
    use std::os::unix::fs::symlink;
    let volume = tempfile::tempdir().unwrap();
    let at = |name: &str| volume.path().join(name);
    let release = |name: &str, realm: &str| {
        fs::create_dir(at(name)).unwrap();
        put(&at(name).join("stunnerd.conf"), "a/x", realm);
        symlink(name, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    release("..2026_1", "1");
    symlink("..data/stunnerd.conf", at("stunnerd.conf")).unwrap();
    let mut watch = watch(&at("stunnerd.conf"));
    assert_eq!(told(&mut watch).await, pair("a/x", "1"));
    release("..2026_2", "2");
    fs::remove_dir_all(at("..2026_1")).unwrap();
    assert_eq!(told(&mut watch).await, pair("a/x", "2"));
    release("..2026_3", "3");
    assert_eq!(told(&mut watch).await, pair("a/x", "3"));
}

#[tokio::test]
async fn loading_reads_once_with_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stunnerd.conf");
    let origin: Origin = format!("file://{}", path.display()).parse().unwrap();
    let load = async || cds::load(&origin, &Scope::All, &options()).await.map_err(|error| error.to_string());
    assert!(load().await.unwrap_err().contains("cannot read"));
    fs::write(&path, "").unwrap();
    assert!(load().await.unwrap_err().contains("is empty"));
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(load().await.unwrap_err().contains("UTF-8"));
    fs::write(&path, "version: v1").unwrap();
    assert!(load().await.unwrap_err().contains("empty username or password"));

    fs::write(&path, "{version: v1, auth: {type: none, realm: $REALM}}").unwrap();
    let environment = Arc::new(|name: &str| (name == "REALM").then(|| "here".to_owned()));
    let options = Options { environment, ..options() };
    assert_eq!(cds::load(&origin, &Scope::All, &options).await.unwrap()[0].auth.realm, "here");
}
