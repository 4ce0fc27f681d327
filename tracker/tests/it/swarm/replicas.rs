//! Several trackers on one database serve one swarm, and a peer may use any of them.

use std::time::{Duration, Instant};

use peernet_testkit::postgres::{Postgres, fresh_database};
use peernet_tracker::Tracker;
use peernet_tracker::boot::config::Secret;
use serde_json::json;

use super::client::{Api, File, eventually, quiet};

/// A tracker with a data folder of its own.
struct Replica {
    folder: tempfile::TempDir,
    url: String,
    running: Option<Tracker>,
}

impl Replica {
    fn start(database: &str) -> Self {
        let mut replica = Self { folder: tempfile::tempdir().unwrap(), url: database.to_owned(), running: None };
        replica.restart();
        replica
    }

    fn restart(&mut self) {
        let mut config = quiet(self.folder.path());
        config.database_url = Secret::new(self.url.clone());
        self.running = Some(Tracker::builder().config(config).start().unwrap());
    }

    fn stop(&mut self) {
        assert!(self.running.take().unwrap().stop());
    }

    fn url(&self) -> String {
        self.running.as_ref().unwrap().url()
    }
}

fn two() -> (Replica, Replica) {
    let database = fresh_database();
    (Replica::start(&database), Replica::start(&database))
}

#[test]
fn announces_and_departures_replicate_within_a_second() {
    let (one, other) = two();
    let source = Api::new(&one.url()).peer(1);
    let downloader = Api::new(&one.url()).peer(2).at(&other.url());
    let file = File::new(1, 9);
    source.announce_v2(&file, json!("complete"));
    let began = Instant::now();
    eventually("listed", || downloader.plan(&file)["manifests"][0]["sources"][0]["peer_id"] == source.id);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    source.announce_v2(&file, json!({"bitmap": "gAA="}));
    eventually("changed", || downloader.plan(&file)["manifests"][0]["sources"][0]["have"] == json!({"bitmap": "gAA="}));
    assert_eq!(source.leave(), 1);
    eventually("gone", || downloader.plan(&file)["manifests"][0]["sources"] == json!([]));
    // It returns through the other tracker.
    source.at(&other.url()).announce_v2(&file, json!("complete"));
    let back = downloader.at(&one.url());
    eventually("listed again", || back.plan(&file)["manifests"][0]["sources"][0]["have"] == "complete");
}

#[test]
fn accounts_and_balances_are_the_same_at_all_replicas() {
    let (one, other) = two();
    let source = Api::new(&one.url()).peer(1);
    let downloader = Api::new(&other.url()).peer(2);
    assert_eq!(
        source.at(&other.url()).me()["peer_id"],
        source.id.as_str(),
        "a token of one tracker is valid at the other at once"
    );
    let file = File::new(1, 4);
    source.announce_v2(&file, json!("complete"));
    eventually("listed", || downloader.plan(&file)["manifests"][0]["sources"][0]["peer_id"] == source.id);
    let before = source.balance_mt();
    // Reports to both trackers, the same ones twice.
    for url in [one.url(), other.url(), one.url()] {
        (0..4).for_each(|index| downloader.at(&url).report(&source, &file, index, "SUCCESS_UPLOAD"));
    }
    assert!(source.balance_mt() > before);
    assert_eq!(source.balance_mt(), source.at(&other.url()).balance_mt());
    let ledger = peernet_tracker::admin::verify_ledger(one.running.as_ref().unwrap().app().store.as_ref()).unwrap();
    assert!(ledger.is_sound(), "{ledger}");
}

#[test]
fn a_version_1_file_announced_to_two_trackers_is_listed() {
    let (one, other) = two();
    let source = Api::new(&one.url()).peer(1);
    let downloader = Api::new(&one.url()).peer(2);
    let file = File::new(1, 6);
    for index in 0..6 {
        let url = if index % 2 == 0 { one.url() } else { other.url() };
        source.at(&url).announce_chunk(&file, index);
    }
    for url in [one.url(), other.url()] {
        eventually("whole", || downloader.at(&url).lookup(&file).len() == 6);
    }
    let stored = || {
        let mut count = 0;
        one.running.as_ref().unwrap().app().store.listings(Default::default(), &mut |_| count += 1).unwrap();
        count
    };
    eventually("stored", || stored() == 1);
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let (mut one, mut other) = two();
    let downloader = Api::new(&one.url()).peer(100);
    let files: Vec<File> = (0..4).map(|n| File::new(n, 3)).collect();
    let peers: Vec<_> = (0..4).map(|n| Api::new(&if n % 2 == 0 { one.url() } else { other.url() }).peer(n)).collect();
    for (source, file) in peers.iter().zip(&files) {
        source.announce_v2(file, json!("complete"));
    }
    one.stop();
    one.restart();
    other.stop();
    other.restart();
    for url in [one.url(), other.url()] {
        for (source, file) in peers.iter().zip(&files) {
            let there = downloader.at(&url);
            eventually("listed", || there.plan(file)["manifests"][0]["sources"][0]["peer_id"] == source.id);
        }
    }
}

#[test]
fn announces_without_the_database_are_replicated_later() {
    let mut server = Postgres::start();
    let database = server.fresh_database();
    let one = Replica::start(&database);
    let other = Replica::start(&database);
    let source = Api::new(&one.url()).peer(1);
    let downloader = Api::new(&one.url()).peer(2);
    let file = File::new(1, 9);
    source.announce_v2(&file, json!({"bitmap": "gAA="}));
    assert_eq!(downloader.plan(&file)["manifests"][0]["sources"][0]["have"], json!({"bitmap": "gAA="}));
    server.stop();
    let entry = json!({"file_hash": file.hash, "manifest_id": file.manifest().id().to_string(), "have": "complete"});
    let announce = json!({"address": source.address, "files": [entry]});
    assert_eq!(source.post("/api/v1/swarm/announce", &announce).0, 200);
    assert_eq!(downloader.plan(&file)["manifests"][0]["sources"][0]["have"], "complete");
    let began = Instant::now();
    let (status, answer) =
        source.put(&format!("/api/v1/manifests/{}", File::new(2, 3).manifest().id()), &File::new(2, 3).manifest_body());
    assert_eq!((status, &answer["code"]), (503, &json!("store_unavailable")), "a durable write is refused in time");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    server.restart();
    let there = downloader.at(&other.url());
    eventually("replicated", || there.plan(&file)["manifests"][0]["sources"][0]["have"] == "complete");
    assert_eq!(
        source
            .put(&format!("/api/v1/manifests/{}", File::new(2, 3).manifest().id()), &File::new(2, 3).manifest_body())
            .0,
        201
    );
}
