//! `kill -9` of the tracker, of PostgreSQL and of both, repeatedly and under load. Afterwards no acknowledged change is missing, and none was
//! applied twice, although clients repeat each request until it is acknowledged.

use std::path::Path;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use data_encoding::BASE64;
use peernet_engine::ids::{ByteCount, ChunkHash, FileHash};
use peernet_engine::manifest::{Geometry, Manifest};
use peernet_engine::random::Rng;
use peernet_testkit::postgres::Postgres;
use peernet_testkit::process::Process;
use serde_json::{Value, json};
use ureq::Agent;

use super::crash;

/// The default number of kills; `PEERNET_KILLS` overrides it.
const KILLS: usize = 4;
/// Threads that load the tracker.
const THREADS: usize = 2;
/// Files that each thread shares between two kills.
const FILES_PER_ROUND: usize = 8;
/// One of so many files is fetched and reported too, because an account gets only some tickets a minute.
const FETCHED_EVERY: u64 = 8;
/// The longest time for which a request is repeated.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of each file. So its uploader earns a few milli-tokens, far fewer than an account starts with.
const FILE_BYTES: u64 = 10_000;
/// The bonus of an account that becomes established.
const BONUS_MT: i64 = 80_000;

/// The tracker's current address.
#[derive(Default)]
struct TrackerUrl(RwLock<String>);

/// An account that repeats its requests until they are acknowledged.
struct Client<'a> {
    agent: Agent,
    tracker_url: &'a TrackerUrl,
    acknowledged: Sender<()>,
    id: String,
    token: String,
    address: String,
}

impl<'a> Client<'a> {
    fn register(tracker_url: &'a TrackerUrl, address: String, acknowledged: Sender<()>) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(20)));
        let agent = config.build().into();
        let mut client = Self { agent, tracker_url, acknowledged, id: String::new(), token: String::new(), address };
        let body = json!({"address": client.address, "password": "secret"});
        let answer = client.send("POST", "/api/v1/peers/register", &body, &[201]);
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (client.id, client.token) = (text("peer_id"), text("token"));
        client
    }

    /// Repeats a call until its status is one of `expected`.
    fn send(&self, method: &str, path: &str, body: &Value, expected: &[u16]) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.once(method, path, body);
            if let Ok((status, answer)) = &answer
                && expected.contains(status)
            {
                let _nobody_counts = self.acknowledged.send(());
                return answer.clone();
            }
            let at = self.tracker_url.0.read().unwrap();
            assert!(began.elapsed() < PATIENCE, "{method} {path} at {at}: {answer:?}");
            std::thread::yield_now();
        }
    }

    fn once(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), ureq::Error> {
        let url = format!("{}{path}", self.tracker_url.0.read().unwrap());
        let request = ureq::http::Request::builder().method(method).uri(url);
        let request = request.header("Authorization", format!("Bearer {}", self.token));
        let mut answer = match method {
            "GET" => self.agent.run(request.body(())?),
            _ => self.agent.run(request.body(body.to_string())?),
        }?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn balance_mt(&self) -> i64 {
        let me = self.send("GET", "/api/v1/peers/me", &Value::Null, &[200]);
        me["token_balance_mt"].as_i64().unwrap()
    }
}

/// A file of one chunk, by its number.
fn manifest(number: u64) -> Manifest {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    let geometry = Geometry::new(ByteCount(FILE_BYTES), 1 << 20).unwrap();
    Manifest::new(FileHash(hash), geometry, vec![ChunkHash(hash)]).unwrap()
}

/// Two accounts: one shares files, the other fetches them and reports.
struct Pair<'a> {
    source: Client<'a>,
    downloader: Client<'a>,
    /// Verifies afterwards: plans for the downloader would use up its tickets.
    reader: Client<'a>,
    /// The source's balance before it earned anything.
    before_mt: i64,
    earned_each_mt: i64,
    done: Vec<u64>,
}

impl<'a> Pair<'a> {
    fn new(tracker_url: &'a TrackerUrl, number: usize, acknowledged: &Sender<()>) -> Self {
        let register = |side| Client::register(tracker_url, format!("10.{number}.{side}.1:5000"), acknowledged.clone());
        let source = register(1);
        let downloader = register(2);
        let reader = register(3);
        let mut pair = Self { source, downloader, reader, before_mt: 0, earned_each_mt: 0, done: Vec::new() };
        pair.before_mt = pair.source.balance_mt();
        // One file without a kill shows how much each file earns.
        pair.one(number as u64 * 1_000_000);
        pair.earned_each_mt = pair.source.balance_mt() - pair.before_mt;
        assert!(pair.earned_each_mt > 0);
        pair
    }

    /// Shares one file, and fetches it. Every step is repeated until it is acknowledged.
    fn one(&mut self, number: u64) {
        let manifest = manifest(number);
        let file_hash = manifest.file_hash().to_string();
        let id = manifest.id().to_string();
        let body = json!({
            "file_hash": file_hash, "file_name": "f", "size": FILE_BYTES, "chunk_size": 1 << 20,
            "chunk_hashes": BASE64.encode(&manifest.hash_bytes()),
        });
        self.source.send("PUT", &format!("/api/v1/manifests/{id}"), &body, &[200, 201]);
        let entry = json!({"file_hash": file_hash, "manifest_id": id, "have": "complete"});
        let announce = json!({"address": self.source.address, "files": [entry]});
        let announced = self.source.send("POST", "/api/v1/swarm/announce", &announce, &[200]);
        assert_eq!(announced["unknown_manifests"], json!([]), "the manifest was acknowledged");
        self.done.push(number);
        if number.is_multiple_of(FETCHED_EVERY) {
            self.fetch(&file_hash);
        }
    }

    fn fetch(&self, file_hash: &str) {
        self.ticket(file_hash);
        let report = json!({
            "target_peer_id": self.source.id, "file_hash": file_hash, "chunk_index": 0, "event_type": "SUCCESS_UPLOAD",
        });
        self.downloader.send("POST", "/api/v1/peers/feedback", &report, &[202]);
    }

    /// Requests the plan until it has a ticket. While the database is away, plans have none.
    fn ticket(&self, file_hash: &str) {
        let began = Instant::now();
        let plan = || self.downloader.send("GET", &format!("/api/v1/files/{file_hash}"), &Value::Null, &[200]);
        while plan()["ticket"].is_null() {
            assert!(began.elapsed() < PATIENCE, "no ticket for {file_hash}");
        }
    }

    /// Checks that every acknowledged change is there, once.
    fn check(&self, first: usize) {
        for number in &self.done[first..] {
            let manifest = manifest(*number);
            self.reader.send("GET", &format!("/api/v1/manifests/{}", manifest.id()), &Value::Null, &[200]);
            let path = format!("/api/v1/files/{}", manifest.file_hash());
            let plan = self.reader.send("GET", &path, &Value::Null, &[200]);
            assert_eq!(plan["manifests"][0]["sources"][0]["peer_id"], self.source.id.as_str(), "{plan}");
        }
        let earned = self.source.balance_mt() - self.before_mt;
        // All files together earn less than the bonus, so it is clear whether the bonus was paid.
        let bonus_mt = if earned >= BONUS_MT { BONUS_MT } else { 0 };
        let fetched = self.done.iter().filter(|number| number.is_multiple_of(FETCHED_EVERY)).count() as i64;
        assert_eq!(earned - bonus_mt, self.earned_each_mt * fetched, "of {fetched} files");
    }
}

/// The processes that are killed.
struct Scene<'a> {
    folder: &'a Path,
    server: Postgres,
    database: String,
    tracker: Option<Process>,
    tracker_url: &'a TrackerUrl,
}

impl Scene<'_> {
    fn start_tracker(&mut self) {
        let (process, url) = crash::start(self.folder, Some(&self.database));
        self.tracker = Some(process);
        *self.tracker_url.0.write().unwrap() = url;
    }

    fn kill(&mut self, what: u64) {
        let (tracker, server) = [(true, false), (false, true), (true, true)][what as usize];
        if tracker {
            self.tracker.take().unwrap().kill9();
        }
        if server {
            self.server.kill9();
            self.server.restart();
        }
        if tracker {
            self.start_tracker();
        }
    }
}

fn kills() -> usize {
    std::env::var("PEERNET_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

#[test]
fn kills_under_load_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tracker_url = TrackerUrl::default();
    let server = Postgres::start();
    let database = server.fresh_database();
    let mut scene = Scene { folder: folder.path(), server, database, tracker: None, tracker_url: &tracker_url };
    scene.start_tracker();
    let (acknowledged, acknowledgements) = unbounded();
    let mut pairs: Vec<Pair<'_>> = (1..=THREADS).map(|number| Pair::new(&tracker_url, number, &acknowledged)).collect();
    let mut rng = Rng::new(u64::from(std::process::id()));
    for round in 0..kills() {
        acknowledgements.try_iter().for_each(drop);
        let first: Vec<usize> = pairs.iter().map(|pair| pair.done.len()).collect();
        std::thread::scope(|scope| {
            for pair in &mut pairs {
                scope.spawn(|| {
                    let next = pair.done[pair.done.len() - 1] + 1;
                    (next..next + FILES_PER_ROUND as u64).for_each(|number| pair.one(number));
                });
            }
            kill_in_the_middle(&mut scene, &acknowledgements, &mut rng);
        });
        pairs.iter().zip(first).for_each(|(pair, first)| pair.check(first));
        let audit = crash::audit(folder.path(), Some(&scene.database));
        assert_eq!(audit["ok"], true, "after {round} kills: {audit}");
    }
}

/// Waits for some acknowledgements, so that the kill comes at a random point of the load.
fn kill_in_the_middle(scene: &mut Scene<'_>, acknowledgements: &Receiver<()>, rng: &mut Rng) {
    // The least number of acknowledgements in a round: two for each file.
    let steps = (THREADS * FILES_PER_ROUND * 2) as u64;
    for _ in 0..rng.below(steps - 4) {
        acknowledgements.recv_timeout(PATIENCE).expect("the load goes on");
    }
    scene.kill(rng.below(3));
}
