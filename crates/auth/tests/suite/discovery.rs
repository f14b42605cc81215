//! Configurations come and go while the service runs.

use std::fs;
use std::sync::Arc;

use auth::Configs;
use auth::split::GroupBy;
use auth::watch::{Followed, follow};
use cds::Store;
use config::{Config, Protocol};
use tokio::sync::watch;

use crate::support::{Discovery, by_name, delivered, ephemeral, fixed, listener, soon, watch_at};

async fn names_become(followed: &Followed, expected: &[&str]) {
    let mut configs = followed.configs.clone();
    soon(configs.wait_for(|configs| configs.keys().eq(expected))).await.unwrap();
}

async fn synced(followed: &Followed) {
    soon(followed.synced.clone().wait_for(|synced| *synced)).await.unwrap();
}

const EPHEMERAL: &str = "testnamespace/stunnerd-ephemeral";
const FIXED: &str = "testnamespace/stunnerd-static";

#[tokio::test]
async fn it_is_in_step_once_everything_has_arrived() {
    let discovery = Discovery::start().await;
    discovery.store.set(by_name(&[fixed(), ephemeral()]));
    let followed = discovery.follow(GroupBy::Config);
    synced(&followed).await;
    assert_eq!(**followed.configs.borrow(), delivered(&by_name(&[fixed(), ephemeral()])));
}

#[tokio::test]
async fn it_is_in_step_with_a_server_that_has_nothing() {
    let discovery = Discovery::start().await;
    let followed = discovery.follow(GroupBy::Config);
    synced(&followed).await;
    assert!(followed.configs.borrow().is_empty());
}

#[tokio::test]
async fn changes_arrive_and_a_deleted_gateway_is_really_gone() {
    let discovery = Discovery::start().await;
    let followed = discovery.follow(GroupBy::Config);
    discovery.store.insert(FIXED, fixed());
    names_become(&followed, &[FIXED]).await;
    discovery.store.insert(EPHEMERAL, ephemeral());
    names_become(&followed, &[EPHEMERAL, FIXED]).await;
    let mut changed = fixed();
    changed.listeners.truncate(1);
    discovery.store.insert(FIXED, changed);
    let mut configs = followed.configs.clone();
    let is_shorter = |configs: &Arc<Configs>| configs.get(FIXED).is_some_and(|c| c.listeners.len() == 1);
    soon(configs.wait_for(is_shorter)).await.unwrap();
    discovery.store.remove(FIXED);
    names_become(&followed, &[EPHEMERAL]).await;
    discovery.store.remove(EPHEMERAL);
    names_become(&followed, &[]).await;
}

#[tokio::test]
async fn a_zero_configuration_is_a_deletion() {
    let discovery = Discovery::start().await;
    let followed = discovery.follow(GroupBy::Config);
    discovery.store.set(by_name(&[fixed(), ephemeral()]));
    names_become(&followed, &[EPHEMERAL, FIXED]).await;
    discovery.store.insert(FIXED, Config::zero(FIXED));
    names_become(&followed, &[EPHEMERAL]).await;
}

#[tokio::test]
async fn what_was_deleted_without_a_connection_is_gone_after_reconnecting() {
    let discovery = Discovery::start().await;
    discovery.store.set(by_name(&[fixed(), ephemeral()]));
    let followed = discovery.follow(GroupBy::Config);
    names_become(&followed, &[EPHEMERAL, FIXED]).await;
    let renamed = Config { admin: config::Admin { name: "n/new".into(), ..fixed().admin }, ..fixed() };
    let store = Store::new();
    store.set(by_name(&[ephemeral(), renamed]));
    let _restarted = discovery.restart(store).await;
    names_become(&followed, &["n/new", EPHEMERAL]).await;
}

#[tokio::test]
async fn without_a_connection_the_last_state_stays() {
    let discovery = Discovery::start().await;
    discovery.store.insert(FIXED, fixed());
    let followed = discovery.follow(GroupBy::Config);
    synced(&followed).await;
    names_become(&followed, &[FIXED]).await;
    discovery.stop().await;
    assert!(followed.configs.borrow().contains_key(FIXED));
    assert!(*followed.synced.borrow());
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let address = Discovery::start().await.stop().await;
    let followed = follow(watch_at(&format!("http://{address}")), GroupBy::Config);
    let server = cds::server::Server::new({
        let store = Store::new();
        store.insert(FIXED, fixed());
        store
    });
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(server.serve(listener));
    names_become(&followed, &[FIXED]).await;
}

#[tokio::test]
async fn a_merged_configuration_is_split_and_all_its_parts_change_and_go_together() {
    let discovery = Discovery::start().await;
    let followed = discovery.follow(GroupBy::Gateway);
    discovery.store.insert(FIXED, fixed());
    let parts = ["dummynamespace/testgateway", "testnamespace/dummygateway", "testnamespace/testgateway"];
    names_become(&followed, &parts).await;
    let mut changed = fixed();
    changed.listeners.truncate(2);
    changed.listeners.push(listener("n/new/udp", Protocol::Udp, ("", 0), ("", 0)));
    discovery.store.insert(FIXED, changed);
    names_become(&followed, &["dummynamespace/testgateway", "n/new", "testnamespace/testgateway"]).await;
    discovery.store.remove(FIXED);
    names_become(&followed, &[]).await;
}

#[tokio::test]
async fn a_file_is_followed_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stunnerd.conf");
    fs::write(&path, fixed().to_json()).unwrap();
    let followed = follow(watch_at(&format!("file://{}", path.display())), GroupBy::Gateway);
    synced(&followed).await;
    assert_eq!(followed.configs.borrow().len(), 3);
    fs::write(&path, ephemeral().to_json()).unwrap();
    let mut configs = followed.configs.clone();
    soon(configs.wait_for(|configs| configs.values().all(|c| c.auth.kind == ephemeral().auth.kind)))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_collector_ends_with_its_last_receiver() {
    let discovery = Discovery::start().await;
    let Followed { configs, synced } = discovery.follow(GroupBy::Config);
    let alive = synced.clone();
    drop((configs, synced));
    soon(ended(alive)).await;
}

/// Waits until nobody can send any more.
async fn ended(mut receiver: watch::Receiver<bool>) {
    while receiver.changed().await.is_ok() {}
}
