//! Lookups and announces a second, with their tail, at several numbers of keep-alive connections; nginx answers a
//! constant beside it, as the measure of what the machine and the load generator allow.

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
use crate::rivals::trackers::BtTracker;
use crate::{Options, measure, parts};

/// The number of sources of the file that is looked up.
const SOURCES: usize = 12;

/// The scenario `tracker`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    must_have_wrk()?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::start("tracker", &options.note)?;
    let tracker = parts::Tracker::start(&made(folder.path(), "embedded")?)?;
    sequential_announces(&tracker.url, &mut report)?;
    let v1 = v1_files(&tracker.url)?;
    registrations(&tracker.url, &mut report)?;
    let mut targets = targets("", &tracker, folder.path())?;
    let server = peernet_testkit::postgres::Postgres::start();
    let on_database =
        parts::Tracker::start_on_database(&made(folder.path(), "postgresql")?, &server.fresh_database(), &[])?;
    targets.extend(self::targets(", PostgreSQL", &on_database, folder.path())?);
    let rivals = BtTracker::start_all(folder.path())?;
    let script = BtTracker::script(folder.path())?;
    targets.extend(rivals.iter().map(|rival| Target::of_rival(rival, &script)));
    let nginx = Nginx::start(folder.path(), folder.path())?;
    let constant =
        nginx.as_ref().map(|nginx| Target::plain("nginx constant", format!("{}/constant", nginx.url()), None));
    for round in 0..options.rounds {
        for connections in &options.connections {
            for target in constant.iter().chain(&targets).filter(|target| options.wants(&target.what)) {
                target.measure(options, *connections, round, &mut report)?;
            }
        }
    }
    v1_lookups(options, &v1, &targets[0], &mut report)?;
    report.summary(&["requests_per_s", "p50_ms", "p99_ms", "errors", "tracker_cpu_s", "tracker_rss_mib"]);
    ratios(&report, options);
    Ok(())
}

pub(crate) fn must_have_wrk() -> io::Result<()> {
    match has("wrk") {
        true => Ok(()),
        false => Err(io::Error::other("wrk is missing: install it (Debian: apt-get install wrk)")),
    }
}

pub(crate) fn made(folder: &Path, name: &str) -> io::Result<std::path::PathBuf> {
    let path = folder.join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// A server and a request that it answers.
pub(crate) struct Target {
    what: String,
    url: String,
    token: String,
    script: Option<std::path::PathBuf>,
    pid: Option<u32>,
}

impl Target {
    fn plain(what: &str, url: String, pid: Option<u32>) -> Self {
        Self { what: what.to_owned(), url, token: String::new(), script: None, pid }
    }

    fn of_rival(rival: &BtTracker, script: &Path) -> Self {
        let script = Some(script.to_owned());
        Self { script, ..Self::plain(&format!("{} announce", rival.name), rival.url(), Some(rival.pid())) }
    }

    pub(crate) fn measure(
        &self,
        options: &Options,
        connections: usize,
        round: usize,
        report: &mut Report,
    ) -> io::Result<()> {
        let load = Load { connections, seconds: options.seconds, token: &self.token };
        let before = self.pid.map(measure::cpu_so_far).transpose()?;
        let mut record = load.run(&self.url, self.script.as_deref())?;
        if let (Some(pid), Some(before)) = (self.pid, before) {
            record["tracker_cpu_s"] = json!(measure::cpu_so_far(pid)?.saturating_sub(before).as_secs_f64());
            record["tracker_rss_mib"] = json!(measure::peak_rss_kib(pid)? as f64 / 1024.0);
        }
        report.add(&format!("{}, {connections}", self.what), round, record)
    }
}

/// Returns the requests that are measured at one of our trackers.
fn targets(store: &str, tracker: &parts::Tracker, folder: &Path) -> io::Result<Vec<Target>> {
    let pid = Some(tracker.process.id());
    let (token, plan, renewal) = prepare(&tracker.url, folder)?;
    let durable = durable_announces(&tracker.url, &folder.join(format!("durable{}.lua", store.len())))?;
    let announce = format!("{}/api/v1/swarm/announce", tracker.url);
    let target = |what: &str, url: String, script: Option<std::path::PathBuf>| Target {
        token: token.clone(),
        script,
        ..Target::plain(&format!("{what}{store}"), url, pid)
    };
    Ok(vec![
        target("lookup (plan)", format!("{}{plan}", tracker.url), None),
        target("announce (new, durable)", announce.clone(), Some(durable)),
        target("announce (renewal)", announce, Some(renewal)),
        target("health", format!("{}/health", tracker.url), None),
    ])
}

/// Authenticated lookups of a plan at one of our trackers.
pub(crate) fn plan_lookup(what: &str, tracker: &parts::Tracker, folder: &Path) -> io::Result<Target> {
    let (token, plan, _) = prepare(&tracker.url, folder)?;
    let url = format!("{}{plan}", tracker.url);
    Ok(Target { token, ..Target::plain(what, url, Some(tracker.process.id())) })
}

/// The number of files, and of accounts, in the durable announces.
const ANNOUNCED: usize = 64;

/// A script for wrk: announces by many accounts of many files, each of another bitmap than before, so that each must be
/// kept.
fn durable_announces(url: &str, path: &Path) -> io::Result<std::path::PathBuf> {
    let hashes: Vec<u8> = [9u8; 32].repeat(64);
    let (mut tokens, mut files) = (Vec::new(), Vec::new());
    for n in 0..ANNOUNCED {
        let mut peer = V1Tracker::new(url);
        peer.register(&format!("10.3.{n}.1:5000"), "bench-password")
            .map_err(|answer| io::Error::other(format!("{answer:?}")))?;
        let token = peer.token().unwrap_or_default().to_owned();
        let file_hash = sha256_hex(format!("announced {n}").as_bytes());
        let id = manifest_id(&file_hash, 64 << 20, &hashes);
        let manifest = json!({"file_hash": file_hash, "file_name": "b", "size": 64 << 20, "chunk_size": 1 << 20, "chunk_hashes": BASE64.encode(&hashes)});
        put(url, &token, &format!("/api/v1/manifests/{id}"), &manifest)?;
        files.push(format!("{{'{file_hash}', '{id}'}}"));
        tokens.push(format!("'{token}'"));
    }
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let text = format!(
        "local files = {{{}}}\nlocal tokens = {{{}}}\nlocal letters = '{letters}'\n\
         local function letter() local n = math.random(#letters); return letters:sub(n, n) end\n\
         request = function()\n\
           local file, token = files[math.random(#files)], tokens[math.random(#tokens)]\n\
           local bits = letter() .. letter() .. letter() .. letter() .. 'AAAAAAA='\n\
           local body = '{{\"address\":\"10.9.9.9:5000\",\"files\":[{{\"file_hash\":\"' .. file[1] .. '\",\"manifest_id\":\"' .. file[2] .. '\",\"have\":{{\"bitmap\":\"' .. bits .. '\"}}}}]}}'\n\
           return wrk.format('POST', nil, {{['Authorization'] = 'Bearer ' .. token, ['Content-Type'] = 'application/json'}}, body)\n\
         end\n",
        files.join(","),
        tokens.join(",")
    );
    fs::write(path, text)?;
    Ok(path.to_owned())
}

fn v1_lookups(
    options: &Options,
    v1: &[(usize, usize, String)],
    target: &Target,
    report: &mut Report,
) -> io::Result<()> {
    let base = target.url.split("/api/").next().unwrap_or_default().to_owned();
    for (chunks, peers, path) in v1 {
        let who = format!("v1 lookup, {chunks} chunks, {peers} peers");
        for round in 0..options.rounds {
            if options.wants(&who) {
                let load = Load { connections: 16, seconds: options.seconds, token: &target.token };
                report.add(&who, round, load.run(&format!("{base}{path}"), None)?)?;
            }
        }
    }
    Ok(())
}

/// The comparisons that are promised, from this run.
fn ratios(report: &Report, options: &Options) {
    let rate = |what: &str, connections: usize| report.median(&format!("{what}, {connections}"), "requests_per_s");
    for connections in &options.connections {
        for store in ["", ", PostgreSQL"] {
            for (ours, other) in [
                ("lookup (plan)", "nginx constant"),
                ("lookup (plan)", "aquatic_http announce"),
                ("announce (new, durable)", "aquatic_http announce"),
                ("announce (new, durable)", "torrust-tracker announce"),
            ] {
                let ours = format!("{ours}{store}");
                if let (Some(us), Some(them)) = (rate(&ours, *connections), rate(other, *connections)) {
                    println!("{connections:>5} connections: {ours} / {other} = {:.2}", us / them);
                }
            }
        }
    }
}

/// Measures a version 1 sharer of a 1 GiB file: 1,024 announces, one after the other, on one connection.
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

/// The files of version 1's measurements: chunks and peers of each.
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
    let script = folder.join(format!("announce-{}.lua", url.rsplit(':').next().unwrap_or_default()));
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

/// Some seconds of wrk.
pub(crate) struct Load<'a> {
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
    pub(crate) token: &'a str,
}

impl Load<'_> {
    pub(crate) fn run(&self, url: &str, script: Option<&Path>) -> io::Result<Value> {
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

/// Reads wrk's report; an absent figure is 0 errors or null.
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
