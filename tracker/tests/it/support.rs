//! A running tracker on each store, and a client that says what came back.

use std::path::Path;
use std::time::{Duration, Instant};

use peernet_testkit::postgres::fresh_database;
use peernet_tracker::Tracker;
use peernet_tracker::boot::config::Config;
use serde_json::{Value, json};

/// The cheapest cost bcrypt has.
pub(crate) const COST: u32 = 4;

/// Runs `check` with a running, empty tracker on each store.
pub(crate) fn for_both_stores(check: impl Fn(&Tracker)) {
    let folder = tempfile::tempdir().unwrap();
    with_tracker(start(folder.path(), None), &check);
    let folder = tempfile::tempdir().unwrap();
    with_tracker(start(folder.path(), Some(&fresh_database())), &check);
}

/// Runs `check` with a running, empty tracker on SQLite.
pub(crate) fn for_sqlite(check: impl Fn(&Tracker)) {
    let folder = tempfile::tempdir().unwrap();
    with_tracker(start(folder.path(), None), &check);
}

/// A tracker on port 0.
pub(crate) fn start(data_dir: &Path, database_url: Option<&str>) -> Tracker {
    start_with(data_dir, database_url, Config::default())
}

/// The same with some settings.
pub(crate) fn start_with(data_dir: &Path, database_url: Option<&str>, config: Config) -> Tracker {
    let builder = Tracker::builder().config(config).listen("127.0.0.1:0").data_dir(data_dir).bcrypt_cost(COST);
    match database_url {
        Some(url) => builder.database_url(url),
        None => builder,
    }
    .start()
    .unwrap()
}

/// Looks until it is so; `patience` at most.
pub(crate) fn until(what: &str, patience: Duration, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < patience, "still not: {what}");
        std::thread::yield_now();
    }
}

fn with_tracker(tracker: Tracker, check: &impl Fn(&Tracker)) {
    check(&tracker);
    assert!(tracker.stop(), "everything ended");
}

/// The reply of the tracker.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `Null` if it is not.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Status and code of an error, after checking its shape.
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json();
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{self:?} says why");
        (self.status, body["code"].as_str().expect("has a code").to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A client with at most one token.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    agent: ureq::Agent,
    authorization: Option<String>,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            .build()
            .into();
        Self { base: base.to_owned(), agent, authorization: None }
    }

    /// The same client with this token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        self.with_authorization(&format!("Bearer {token}"))
    }

    /// The same client with this header value.
    pub(crate) fn with_authorization(&self, value: &str) -> Self {
        Self { authorization: Some(value.to_owned()), ..self.clone() }
    }

    /// The header value it sends.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Any call. An empty body is sent as none.
    pub(crate) fn call(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(value) = &self.authorization {
            request = request.header("Authorization", value);
        }
        let mut response = self.agent.run(request.body(body).unwrap()).unwrap();
        let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let status = response.status().as_u16();
        Answer { status, headers, body: response.body_mut().read_to_vec().unwrap() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body.to_string().as_bytes())
    }

    /// Registers without an address; returns the peer id and a client with its token.
    pub(crate) fn register(&self, password: &str) -> (String, Self) {
        self.registered(&json!({"protocol": 2, "password": password}))
    }

    /// Registers with an address.
    pub(crate) fn register_at(&self, address: &str, password: &str) -> (String, Self) {
        self.registered(&json!({"address": address, "password": password}))
    }

    fn registered(&self, body: &Value) -> (String, Self) {
        let answer = self.post("/api/v1/peers/register", body);
        assert_eq!(answer.status, 201, "{answer:?}");
        let body = answer.json();
        (body["peer_id"].as_str().unwrap().to_owned(), self.with_token(body["token"].as_str().unwrap()))
    }
}
