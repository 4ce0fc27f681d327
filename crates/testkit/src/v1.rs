//! A client that speaks version 1 exactly: its REST calls here, its gRPC half behind the feature `grpc`.
//!
//! It is deliberately naive, as the old program is: every call builds its own bodies from literal JSON, so that a change of
//! our own types cannot hide a change of the wire.

#[cfg(feature = "grpc")]
pub mod peer;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// Version 1's chunk size in bytes.
pub const CHUNK_SIZE: usize = 1 << 20;

/// Status code and body of an answer; the body is `Null` when it was not JSON.
pub type Answer = (u16, Value);

/// The old program's view of a tracker.
#[derive(Clone)]
pub struct V1Tracker {
    base: String,
    agent: ureq::Agent,
    token: Option<String>,
}

/// One chunk of a lookup: its hash and the peers that hold it, as `(id, address)` in the order they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Chunk {
    /// As the tracker spelled it.
    pub hash: String,
    /// In order.
    pub peers: Vec<(String, String)>,
}

impl V1Tracker {
    /// `base` is a URL such as `http://127.0.0.1:8080`, with or without a trailing slash: it is used as it is.
    pub fn new(base: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            .build()
            .into();
        Self { base: base.to_owned(), agent, token: None }
    }

    /// The token of the last registration.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Registers, or logs in at an address of the same password, and keeps the token. Returns the peer id.
    pub fn register(&mut self, address: &str, password: &str) -> Result<String, Answer> {
        let answer = self.post("/api/v1/peers/register", &json!({"address": address, "password": password}));
        let token = answer.1["token"].as_str();
        let peer_id = answer.1["peer_id"].as_str();
        match (answer.0, token, peer_id) {
            (200 | 201, Some(token), Some(peer_id)) => {
                self.token = Some(token.to_owned());
                Ok(peer_id.to_owned())
            }
            _ => Err(answer),
        }
    }

    /// Announces one chunk.
    pub fn announce(&self, file_hash: &str, name: &str, total: usize, index: usize, chunk_hash: &str) -> Answer {
        let body = json!({"file_hash": file_hash, "file_name": name, "total_chunks": total, "chunk_index": index,
            "chunk_hash": chunk_hash});
        self.post("/api/v1/files/announce", &body)
    }

    /// Looks a file up; the old program reads `chunks` as a map with integer keys and fails on anything else.
    pub fn lookup(&self, file_hash: &str) -> Result<BTreeMap<u32, V1Chunk>, Answer> {
        let answer = self.get(&format!("/api/v1/files/lookup/{file_hash}"));
        let parsed = answer.1["chunks"].as_object().and_then(|chunks| chunks.iter().map(read_chunk).collect());
        match parsed {
            Some(chunks) if answer.0 == 200 => Ok(chunks),
            _ => Err(answer),
        }
    }

    /// Posts one feedback.
    pub fn feedback(&self, target: &str, file_hash: &str, index: usize, success: bool) -> Answer {
        let event_type = if success { "SUCCESS_UPLOAD" } else { "FAILED_UPLOAD" };
        let body =
            json!({"target_peer_id": target, "file_hash": file_hash, "chunk_index": index, "event_type": event_type});
        self.post("/api/v1/peers/feedback", &body)
    }

    /// Any GET, with the token if there is one.
    pub fn get(&self, path: &str) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        read(request.call())
    }

    /// Any POST of JSON, with the token if there is one.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        read(request.send(body.to_string()))
    }
}

fn read(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = result.expect("the tracker answers");
    let status = response.status().as_u16();
    let text = response.body_mut().with_config().limit(256 << 20).read_to_string().unwrap_or_default();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn read_chunk((key, chunk): (&String, &Value)) -> Option<(u32, V1Chunk)> {
    let peers = chunk["peers"].as_array()?.iter().map(|peer| {
        peer["reputation_score"].as_f64()?;
        Some((peer["id"].as_str()?.to_owned(), peer["address"].as_str()?.to_owned()))
    });
    let hash = chunk["chunk_hash"].as_str()?.to_owned();
    Some((key.parse().ok()?, V1Chunk { hash, peers: peers.collect::<Option<_>>()? }))
}
