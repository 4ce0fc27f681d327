//! The cost of the tracker's index: bytes for each lease, and whether a lookup costs more in a larger index.
//!
//! The tracker runs in this process, so that a million leases can be put into its index without a million requests;
//! lookups come over HTTP.

use std::io;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use peernet_engine::ids::{ByteCount, ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::{Geometry, Manifest};
use peernet_engine::plan::Held;
use peernet_engine::time::UnixMillis;
use peernet_testkit::v1::V1Tracker;
use peernet_tracker::Tracker;
use peernet_tracker::boot::config::Config;
use peernet_tracker::domain::swarm::{Lease, Location, ManifestMeta, Swarm};
use peernet_tracker::store::StoredManifest;
use serde_json::json;

use crate::Options;
use crate::report::Report;
use crate::tracker::{Load, must_have_wrk};

/// The number of leases in the index; each account has some of the files.
const LEASES: u64 = 1_000_000;
/// Holders of the files whose lookups are compared.
const HOLDERS: [u64; 3] = [10, 1_000, 100_000];

/// The scenario `swarm`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    must_have_wrk()?;
    let mut report = Report::start("swarm", &options.note)?;
    for (files_each, holders_each) in [(100, 10), (10, 1)] {
        let what = format!("{files_each} files an account, {holders_each} holders a file");
        report.add(&what, 0, json!({"bytes_a_lease": bytes_a_lease(files_each, holders_each)}))?;
    }
    let folder = tempfile::tempdir()?;
    let tracker = start(folder.path())?;
    let token = token(&tracker.url())?;
    let files: Vec<(u64, FileHash)> = HOLDERS.iter().map(|holders| (*holders, fill(&tracker, *holders))).collect();
    let lookups = |report: &mut Report, round: usize, when: &str| -> io::Result<()> {
        for (holders, file) in &files {
            let load = Load { connections: 16, seconds: options.seconds, token: &token };
            let record = load.run(&format!("{}/api/v1/files/{file}", tracker.url()), None)?;
            report.add(&format!("lookup, {holders} holders, {when}"), round, record)?;
        }
        Ok(())
    };
    for round in 0..options.rounds {
        lookups(&mut report, round, "3 files")?;
    }
    million(&tracker.app().swarm, 10, 1);
    for round in 0..options.rounds {
        lookups(&mut report, round, "1,000,003 files")?;
    }
    report.summary(&["bytes_a_lease", "requests_per_s", "p50_ms", "p99_ms", "errors"]);
    Ok(())
}

fn start(folder: &Path) -> io::Result<Tracker> {
    let config = Config {
        listen: "127.0.0.1:0".to_owned(),
        data_dir: folder.to_owned(),
        ops_listen: "off".to_owned(),
        dialback: false,
        rate_per_address: 0,
        rate_per_account: 0,
        leases_max: 10_000_000,
        swarm_mebibytes_max: 8_192,
        ..Config::default()
    };
    Tracker::builder().config(config).start().map_err(io::Error::other)
}

fn token(url: &str) -> io::Result<String> {
    let mut peer = V1Tracker::new(url);
    peer.register("10.0.0.1:5000", "bench-password").map_err(|answer| io::Error::other(format!("{answer:?}")))?;
    Ok(peer.token().unwrap_or_default().to_owned())
}

/// Bytes of memory that each of a million leases takes, beside nothing else.
fn bytes_a_lease(files_each: u64, holders_each: u64) -> f64 {
    let before = resident_bytes();
    let swarm = Swarm::new(limits());
    million(&swarm, files_each, holders_each);
    let bytes = resident_bytes().saturating_sub(before) as f64 / LEASES as f64;
    assert_eq!(swarm.usage().0 as u64, LEASES);
    bytes
}

fn limits() -> peernet_tracker::domain::swarm::Limits {
    peernet_tracker::domain::swarm::Limits { leases_max: 10_000_000, bytes_max: 1 << 33, ..Default::default() }
}

/// A million leases: each account holds `files_each` files, each file has `holders_each` holders.
fn million(swarm: &Swarm, files_each: u64, holders_each: u64) {
    let (accounts, files) = (LEASES / files_each, LEASES / holders_each);
    for account in 0..accounts {
        let [a, b, c] = [16, 8, 0].map(|bits| account >> bits & 255);
        let location = Arc::new(Location::plain(format!("10.{a}.{b}.{c}:50051")));
        for n in 0..files_each {
            // Each file comes up `holders_each` times over all accounts.
            let file = (account * files_each + n) % files;
            swarm.announce(now(), lease(account, file, &location), Some(now())).expect("there is room");
        }
    }
}

fn lease(account: u64, file: u64, location: &Arc<Location>) -> Lease {
    let chunks = 64;
    let meta = ManifestMeta {
        size: u64::from(chunks) << 20,
        chunk_size: 1 << 20,
        chunks,
        digest: peernet_tracker::domain::swarm::HashesDigest(mixed(file ^ 0xd16e57)),
    };
    Lease {
        peer: PeerId(mixed(account)[..16].try_into().expect("sixteen bytes")),
        file_hash: FileHash(mixed(file ^ 0xf11e)),
        manifest_id: ManifestId(mixed(file ^ 0x3a21)),
        meta: Some(meta),
        file_name: "data-00001.tar".to_owned(),
        location: Arc::clone(location),
        site: None,
        held: Held::Complete,
        trusted: account.is_multiple_of(3),
    }
}

/// A file with a manifest that the store knows and so many holders.
fn fill(tracker: &Tracker, holders: u64) -> FileHash {
    let app = tracker.app();
    let file_hash = FileHash(mixed(holders ^ 0xabcdef));
    let geometry = Geometry::new(ByteCount(64 << 20), 1 << 20).expect("a usual file");
    let manifest = Manifest::new(file_hash, geometry, vec![ChunkHash([3; 32]); 64]).expect("has all its hashes");
    let (manifest_id, meta) = (manifest.id(), ManifestMeta::of(&manifest));
    let stored =
        StoredManifest { manifest, file_name: "f".to_owned(), announced_by: PeerId([1; 16]), created_at: now() };
    let write = peernet_tracker::store::Write::PutManifest(stored);
    app.store.write(now(), &[write], peernet_tracker::store::Durability::Synced).expect("stores");
    for account in 0..holders {
        let location = Arc::new(Location::plain("10.1.2.3:50051"));
        let lease = Lease { file_hash, manifest_id, meta: Some(meta.clone()), ..lease(account, 0, &location) };
        app.swarm.announce(now(), lease, Some(now())).expect("there is room");
    }
    file_hash
}

fn now() -> UnixMillis {
    peernet_tracker::boot::app::system_clock()
}

/// Bytes that look random, the same for the same number.
fn mixed(number: u64) -> [u8; 32] {
    let text = peernet_testkit::fixture::sha256_hex(&number.to_le_bytes());
    HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).expect("32 bytes")
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
