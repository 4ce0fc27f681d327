//! A tracker to test and accounts that call it.

use std::path::Path;
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use peernet_engine::ids::{ByteCount, ChunkHash, FileHash};
use peernet_engine::manifest::{Geometry, Manifest};
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::Tracker;
use peernet_tracker::admin::verify_ledger;
use peernet_tracker::boot::config::Config;
use serde_json::{Value, json};
use ureq::Agent;

/// The longest wait for an event that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `check` against a fresh tracker on each store, then audits its books.
pub(super) fn on_both(check: impl Fn(&Api)) {
    let folder = tempfile::tempdir().unwrap();
    run(quiet(folder.path()), &check);
    let folder = tempfile::tempdir().unwrap();
    let mut config = quiet(folder.path());
    config.database_url = peernet_tracker::boot::config::Secret::new(fresh_database());
    run(config, &check);
}

/// Like the function above on SQLite only, for behaviour that does not depend on the store.
pub(super) fn on_sqlite(check: impl Fn(&Api)) {
    let folder = tempfile::tempdir().unwrap();
    run(quiet(folder.path()), &check);
}

fn run(config: Config, check: &impl Fn(&Api)) {
    let tracker = Tracker::builder().config(config).start().unwrap();
    check(&Api::new(&tracker.url()));
    let report = verify_ledger(tracker.app().store.as_ref()).unwrap();
    assert!(report.is_sound(), "{report}");
    assert!(tracker.stop());
}

/// A configuration for tests: port 0, no dial-back, cheap passwords.
pub(super) fn quiet(folder: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".to_owned(),
        data_dir: folder.to_owned(),
        ops_listen: "off".to_owned(),
        bcrypt_cost: 4,
        dialback: false,
        log_level: peernet_tracker::ops::log::Level::Warn,
        ..Config::default()
    }
}

/// Polls until `done`; panics when it takes too long.
pub(super) fn eventually(what: &str, done: impl Fn() -> bool) {
    crate::support::until(what, PATIENCE, done);
}

/// A tracker's address and a client.
#[derive(Clone)]
pub(super) struct Api {
    url: String,
    agent: Agent,
}

/// An account.
#[derive(Clone)]
pub(super) struct Peer {
    api: Api,
    pub(super) id: String,
    pub(super) address: String,
    token: String,
}

/// Status and body.
pub(super) type Answer = (u16, Value);

impl Api {
    pub(super) fn new(url: &str) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Self { url: url.to_owned(), agent: agent.into() }
    }

    /// The address as `HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Registers an account that listens at 10.0.0.`n`.
    pub(super) fn peer(&self, n: u8) -> Peer {
        self.peer_at(&format!("10.0.0.{n}:50051"))
    }

    pub(super) fn peer_at(&self, address: &str) -> Peer {
        self.register(address, &json!({"address": address, "password": "secret"}))
    }

    /// Registers an account without an address.
    pub(super) fn nomad(&self) -> Peer {
        self.register("", &json!({"password": "secret", "protocol": 2}))
    }

    fn register(&self, address: &str, body: &Value) -> Peer {
        let (status, answer) = self.send("POST", "/api/v1/peers/register", None, body.to_string().as_bytes());
        assert!(matches!(status, 200 | 201), "{status} {answer}");
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Peer { api: self.clone(), id: text("peer_id"), address: address.to_owned(), token: text("token") }
    }

    fn send(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = match method {
            "GET" => self.agent.run(request.body(()).unwrap()),
            _ => self.agent.run(request.body(body).unwrap()),
        };
        let mut answer = answer.unwrap();
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (answer.status().as_u16(), value)
    }
}

impl Peer {
    pub(super) fn get(&self, path: &str) -> Answer {
        self.api.send("GET", path, Some(&self.token), b"")
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Answer {
        self.api.send("POST", path, Some(&self.token), body.to_string().as_bytes())
    }

    /// The bytes of a POST.
    pub(super) fn raw_post(&self, path: &str, body: &Value) -> String {
        let token = &self.token;
        let body = body.to_string();
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Answer {
        self.api.send("PUT", path, Some(&self.token), body.to_string().as_bytes())
    }

    pub(super) fn delete(&self, path: &str) -> Answer {
        self.api.send("DELETE", path, Some(&self.token), b"")
    }

    /// One chunk in version 1's form; must be answered 200.
    pub(super) fn announce_chunk(&self, file: &File, index: usize) {
        let (status, answer) = self.post("/api/v1/files/announce", &file.chunk_body(index));
        assert_eq!((status, &answer), (200, &json!({"status": "announced"})));
    }

    /// A whole file in version 1's form.
    pub(super) fn announce_v1(&self, file: &File) {
        (0..file.hashes.len()).for_each(|index| self.announce_chunk(file, index));
    }

    /// A file in version 2's form: puts the manifest, then announces `have`.
    pub(super) fn announce_v2(&self, file: &File, have: Value) {
        let manifest = file.manifest();
        let (status, _) = self.put(&format!("/api/v1/manifests/{}", manifest.id()), &file.manifest_body());
        assert!(matches!(status, 200 | 201));
        let entry = json!({"file_hash": file.hash, "manifest_id": manifest.id().to_string(), "have": have});
        let (status, answer) = self.post("/api/v1/swarm/announce", &json!({"address": self.address, "files": [entry]}));
        assert_eq!((status, &answer["unknown_manifests"]), (200, &json!([])), "{answer}");
    }

    /// Version 1's lookup: for each chunk its hash and the ids of the peers named, in order.
    pub(super) fn lookup(&self, file: &File) -> Vec<(String, Vec<String>)> {
        let (status, answer) = self.get(&format!("/api/v1/files/lookup/{}", file.hash));
        assert_eq!(status, 200, "{answer}");
        let chunks = answer["chunks"].as_object().unwrap();
        let chunk = |index: usize| {
            let chunk = &chunks[&index.to_string()];
            assert!(chunk["peers"][0]["reputation_score"].is_number());
            let peers = chunk["peers"].as_array().unwrap().iter().map(|peer| text(&peer["id"]));
            (text(&chunk["chunk_hash"]), peers.collect())
        };
        (0..chunks.len()).map(chunk).collect()
    }

    /// Requests a plan with `query` for a client that has the plan of `etag`. Returns the status, the `ETag` and the body.
    pub(super) fn plan_since(&self, file: &File, query: &str, etag: &str) -> (u16, String, Value) {
        let request = ureq::http::Request::get(format!("{}/api/v1/files/{}{query}", self.api.url, file.hash))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("If-None-Match", etag);
        let mut answer = self.api.agent.run(request.body(()).unwrap()).unwrap();
        let etag = answer.headers().get("ETag").map_or("", |value| value.to_str().unwrap()).to_owned();
        let body = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), etag, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    pub(super) fn plan(&self, file: &File) -> Value {
        let (status, answer) = self.get(&format!("/api/v1/files/{}", file.hash));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Reports on one chunk; must be answered 202.
    pub(super) fn report(&self, target: &Peer, file: &File, index: u32, event_type: &str) {
        let body = json!({
            "target_peer_id": target.id, "file_hash": file.hash, "chunk_index": index, "event_type": event_type,
        });
        let (status, answer) = self.post("/api/v1/peers/feedback", &body);
        assert_eq!((status, &answer), (202, &json!({"status": "feedback received"})));
    }

    pub(super) fn balance_mt(&self) -> i64 {
        self.me()["token_balance_mt"].as_i64().unwrap()
    }

    pub(super) fn me(&self) -> Value {
        let (status, answer) = self.get("/api/v1/peers/me");
        assert_eq!(status, 200, "{answer}");
        answer
    }

    pub(super) fn leave(&self) -> u64 {
        let (status, answer) = self.post("/api/v1/swarm/leave", &json!({}));
        assert_eq!(status, 200, "{answer}");
        answer["left"].as_u64().unwrap()
    }

    /// The same account at another tracker process.
    pub(super) fn at(&self, url: &str) -> Self {
        Self { api: Api::new(url), ..self.clone() }
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A file without bytes.
#[derive(Clone)]
pub(super) struct File {
    pub(super) hash: String,
    pub(super) hashes: Vec<String>,
    pub(super) chunk_size: u32,
}

impl File {
    /// `chunks` chunks of 1 MiB; everything derived from `n`.
    pub(super) fn new(n: u8, chunks: usize) -> Self {
        let hash = |index: usize| {
            let mut bytes = [n; 32];
            bytes[..8].copy_from_slice(&(index as u64).to_be_bytes());
            HEXLOWER.encode(&bytes)
        };
        Self { hash: HEXLOWER.encode(&[n; 32]), hashes: (0..chunks).map(hash).collect(), chunk_size: 1 << 20 }
    }

    pub(super) fn chunk_body(&self, index: usize) -> Value {
        json!({
            "file_hash": self.hash, "file_name": format!("file {}.bin", &self.hash[..4]), "total_chunks": self.hashes.len(),
            "chunk_index": index, "chunk_hash": self.hashes[index],
        })
    }

    pub(super) fn manifest(&self) -> Manifest {
        let size = ByteCount(self.hashes.len() as u64 * u64::from(self.chunk_size));
        let hashes = self.hashes.iter().map(|hash| hash.parse::<ChunkHash>().unwrap()).collect();
        let file_hash: FileHash = self.hash.parse().unwrap();
        Manifest::new(file_hash, Geometry::new(size, self.chunk_size).unwrap(), hashes).unwrap()
    }

    pub(super) fn manifest_body(&self) -> Value {
        let manifest = self.manifest();
        json!({
            "file_hash": self.hash, "file_name": "a name.bin", "size": manifest.geometry().size().0,
            "chunk_size": self.chunk_size, "chunk_hashes": BASE64.encode(&manifest.hash_bytes()),
        })
    }
}
