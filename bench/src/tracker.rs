//! Lookups and announces a second, with their tail, at several numbers of keep-alive connections; nginx answers a constant
//! beside it, as the measure of what the machine and the load generator allow.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use data_encoding::{BASE64, HEXLOWER};
use peernet_testkit::fixture::sha256_hex;
use peernet_testkit::v1::V1Tracker;
use serde_json::{Value, json};

use crate::report::Report;
use crate::rivals::has;
use crate::rivals::nginx::Nginx;
use crate::{Options, measure, parts};

/// How many sources the looked-up file has.
const SOURCES: usize = 12;

/// The scenario `tracker`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    if !has("wrk") {
        return Err(io::Error::other("wrk is missing: install it (Debian: apt-get install wrk)"));
    }
    let folder = tempfile::tempdir()?;
    let tracker = parts::Tracker::start(folder.path())?;
    let mut report = Report::start("tracker", &options.note)?;
    sequential_announces(&tracker.url, &mut report)?;
    let (token, plan, announce) = prepare(&tracker.url, folder.path())?;
    let v1 = v1_files(&tracker.url)?;
    registrations(&tracker.url, &mut report)?;
    let nginx = Nginx::start(folder.path(), folder.path())?;
    let pid = tracker.process.id();
    for round in 0..options.rounds {
        for connections in &options.connections {
            let load = Load { connections: *connections, seconds: options.seconds, token: &token };
            if let Some(nginx) = &nginx {
                report.add(
                    &format!("nginx constant, {connections}"),
                    round,
                    load.run(&format!("{}/constant", nginx.url()), None)?,
                )?;
            }
            for (what, url, script) in [
                ("health", format!("{}/health", tracker.url), None),
                ("lookup (plan)", format!("{}{plan}", tracker.url), None),
                ("announce (1 lease)", format!("{}/api/v1/swarm/announce", tracker.url), Some(announce.as_path())),
            ] {
                let before = measure::cpu_so_far(pid)?;
                let mut record = load.run(&url, script)?;
                record["tracker_cpu_s"] = json!(measure::cpu_so_far(pid)?.saturating_sub(before).as_secs_f64());
                record["tracker_rss_mib"] = json!(measure::peak_rss_kib(pid)? as f64 / 1024.0);
                report.add(&format!("{what}, {connections}"), round, record)?;
            }
        }
    }
    for (chunks, peers, path) in &v1 {
        let load = Load { connections: 16, seconds: options.seconds, token: &token };
        for round in 0..options.rounds {
            let who = format!("v1 lookup, {chunks} chunks, {peers} peers");
            report.add(&who, round, load.run(&format!("{}{path}", tracker.url), None)?)?;
        }
    }
    report.summary(&["requests_per_s", "p50_ms", "p99_ms", "errors", "tracker_cpu_s", "tracker_rss_mib"]);
    Ok(())
}

/// What a version 1 sharer of a 1 GiB file does: 1,024 announces, one after the other, on one connection.
fn sequential_announces(url: &str, report: &mut Report) -> io::Result<()> {
    let mut sharer = V1Tracker::new(url);
    sharer.register("127.0.0.1:9", "bench-password").map_err(|answer| io::Error::other(format!("{answer:?}")))?;
    let began = std::time::Instant::now();
    for index in 0..1_024 {
        let answer = sharer.announce(&sha256_hex(b"v1"), "v1.bin", 1_024, index, &sha256_hex(&[index as u8]));
        if answer.0 != 200 {
            return Err(io::Error::other(format!("announce {index}: {answer:?}")));
        }
    }
    let rate = 1_024.0 / began.elapsed().as_secs_f64();
    report.add("v1 announces, 1 sequential", 0, json!({"requests_per_s": rate}))
}

/// How many of the old figures' files there are: chunks and peers of each.
const V1_FILES: [(usize, usize); 6] = [(1, 1), (64, 1), (1_024, 1), (1, 8), (64, 8), (1_024, 8)];

/// Files that version 1 peers announced, and the path of their lookup.
fn v1_files(url: &str) -> io::Result<Vec<(usize, usize, String)>> {
    V1_FILES
        .iter()
        .map(|(chunks, peers)| {
            let file_hash = sha256_hex(format!("v1 {chunks} {peers}").as_bytes());
            for peer in 0..*peers {
                let mut sharer = V1Tracker::new(url);
                let address = format!("10.1.{peer}.1:5000");
                sharer
                    .register(&address, "bench-password")
                    .map_err(|answer| io::Error::other(format!("{answer:?}")))?;
                for index in 0..*chunks {
                    sharer.announce(&file_hash, "v1.bin", *chunks, index, &sha256_hex(&index.to_be_bytes()));
                }
            }
            Ok((*chunks, *peers, format!("/api/v1/files/lookup/{file_hash}")))
        })
        .collect()
}

/// Registrations a second, 8 clients at once: bcrypt's price at the default cost.
fn registrations(url: &str, report: &mut Report) -> io::Result<()> {
    const CLIENTS: usize = 8;
    const EACH: usize = 10;
    let began = std::time::Instant::now();
    let failed: usize = std::thread::scope(|scope| {
        let register = |client: usize| {
            let mut tracker = V1Tracker::new(url);
            (0..EACH)
                .filter(|n| tracker.register(&format!("10.2.{client}.{n}:5000"), "bench-password").is_err())
                .count()
        };
        let threads: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || register(client))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(EACH)).sum()
    });
    let rate = (CLIENTS * EACH - failed) as f64 / began.elapsed().as_secs_f64();
    report.add("registrations, 8 clients", 0, json!({"requests_per_s": rate, "errors": failed}))
}

/// A file with several sources, and the bodies that load is made of.
fn prepare(url: &str, folder: &Path) -> io::Result<(String, String, std::path::PathBuf)> {
    let (file_hash, size, chunk_hash) = (sha256_hex(b"bench"), 64u64 << 20, [7u8; 32]);
    let hashes: Vec<u8> = chunk_hash.repeat(64);
    let manifest_id = manifest_id(&file_hash, size, &hashes);
    let manifest = json!({"file_hash": file_hash, "file_name": "bench.bin", "size": size, "chunk_size": 1 << 20, "chunk_hashes": BASE64.encode(&hashes)});
    let mut token = String::new();
    for source in 0..SOURCES {
        let mut peer = V1Tracker::new(url);
        peer.register(&format!("10.0.0.{source}:5000"), "bench-password")
            .map_err(|answer| io::Error::other(format!("{answer:?}")))?;
        token = peer.token().unwrap_or_default().to_owned();
        put(url, &token, &format!("/api/v1/manifests/{manifest_id}"), &manifest)?;
        let answer = peer.post("/api/v1/swarm/announce", &announce_body(source, &file_hash, &manifest_id));
        if answer.0 != 200 {
            return Err(io::Error::other(format!("announce: {answer:?}")));
        }
    }
    let script = folder.join("announce.lua");
    let body = announce_body(SOURCES - 1, &file_hash, &manifest_id).to_string().replace('\'', "");
    fs::write(
        &script,
        format!("wrk.method = 'POST'\nwrk.body = '{body}'\nwrk.headers['Content-Type'] = 'application/json'\n"),
    )?;
    Ok((token, format!("/api/v1/files/{file_hash}"), script))
}

fn announce_body(source: usize, file_hash: &str, manifest_id: &str) -> Value {
    json!({"address": format!("10.0.0.{source}:5000"), "files": [{"file_hash": file_hash, "manifest_id": manifest_id, "have": "complete"}]})
}

fn put(url: &str, token: &str, path: &str, body: &Value) -> io::Result<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let request = agent.put(format!("{url}{path}")).header("Authorization", format!("Bearer {token}"));
    request.send(body.to_string()).map(drop).map_err(io::Error::other)
}

fn manifest_id(file_hash: &str, size: u64, hashes: &[u8]) -> String {
    let file = HEXLOWER.decode(file_hash.as_bytes()).unwrap_or_default();
    let chunk_size: u32 = 1 << 20;
    sha256_hex(
        &[b"peernet-manifest-v1\0".as_slice(), &file, &size.to_be_bytes(), &chunk_size.to_be_bytes(), hashes].concat(),
    )
}

struct Load<'a> {
    connections: usize,
    seconds: u64,
    token: &'a str,
}

impl Load<'_> {
    fn run(&self, url: &str, script: Option<&Path>) -> io::Result<Value> {
        let mut wrk = Command::new("wrk");
        wrk.args(["-t", "1", "--latency", "-c", &self.connections.to_string(), "-d", &format!("{}s", self.seconds)]);
        wrk.args(["-H", &format!("Authorization: Bearer {}", self.token)]);
        if let Some(script) = script {
            wrk.arg("-s").arg(script);
        }
        let output = wrk.arg(url).output()?;
        Ok(read_wrk(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// Reads wrk's report; what is absent is 0 errors or null.
fn read_wrk(text: &str) -> Value {
    let after = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let errors = text
        .lines()
        .filter(|line| line.contains("Socket errors") || line.contains("Non-2xx"))
        .collect::<Vec<_>>()
        .join("; ");
    let failed: u64 = errors.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok()).sum();
    json!({"requests_per_s": after("Requests/sec:").and_then(|n| n.parse::<f64>().ok()), "p50_ms": after("50%").and_then(millis),
        "p99_ms": after("99%").and_then(millis), "errors": failed, "errors_text": errors})
}

fn millis(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<f64>().ok().map(|n| n * factor);
        }
    }
    None
}
