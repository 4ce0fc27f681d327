//! `kill -9` of any process at any time.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use peernet_engine::journal;
use peernet_testkit::process::Process;
use peernet_testkit::relay::{Faults, Relay};

use super::{PATIENCE, Stage, ended};

const MIB: u64 = 1 << 20;
/// Slow enough for a kill to come in the middle.
const RATE: u64 = 6 * MIB;
/// A kill comes within this time after the start of a download.
const SPAN_MS: u64 = 1_200;
const KILLS_PER_FILE: u32 = 3;

/// xorshift64: draws the moments and the processes to kill.
struct Lot(u64);

impl Lot {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Starts Alice's daemon behind a relay that outlives it. Returns its listening address as well.
fn daemon(stage: &Stage, relay: &Relay, listen: &str) -> (Process, String) {
    let address = relay.address().to_string();
    let mut daemon = stage.start("alice", &["daemon", "--listen", listen, "--address", &address]);
    let line = daemon.line_with("peernet daemon listening on ", PATIENCE);
    (daemon, super::last_word(&line).to_owned())
}

#[test]
fn commands_repeated_after_any_kill_end_with_the_right_bytes() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let mut lot = Lot(seed);
    let stage = Stage::with(&["alice", "bob"]);
    let relay = Relay::start_unaimed(Faults { bytes_per_second: RATE, ..Faults::default() }).unwrap();
    let (mut sharer, listen) = daemon(&stage, &relay, "127.0.0.1:0");
    relay.aim(listen.parse::<SocketAddr>().unwrap());
    for (name, size) in [("large.bin", 9 * MIB + 1), ("middle.bin", 5 * MIB), ("small.bin", 1), ("empty.bin", 0)] {
        let hash = stage.file(name, size);
        stage.run("alice", &["share", name]).ok();
        let copy = format!("{name}.copy");
        let arguments = ["download", &hash, "--output", &copy];
        let mut download = stage.start("bob", &arguments);
        for kill in 0..KILLS_PER_FILE {
            let moment = lot.below(SPAN_MS);
            let _a_random_moment = crossbeam_channel::after(Duration::from_millis(moment)).recv();
            eprintln!("seed {seed}, {name}, kill {kill} after {moment} ms");
            if lot.below(2) == 0 {
                sharer.kill9();
                // The relay leads to this port; no other process got it meanwhile.
                sharer = daemon(&stage, &relay, &listen).0;
            } else {
                download.kill9();
                assert!(!stage.path(&copy).exists() || std::fs::metadata(stage.path(&copy)).unwrap().len() == size);
                download = stage.start("bob", &arguments);
            }
        }
        ended(&mut download).ok();
        stage.assert_same(name, &copy);
        for left in [".peernet-part", ".peernet-part.journal"] {
            assert!(!stage.path(&format!("{copy}{left}")).exists(), "seed {seed}: {copy}{left} is left");
        }
    }
}

/// The environment variable with the number of kills, where the default of continuous integration is not enough.
const KILLS: &str = "PEERNET_KILLS";
const KILLS_DEFAULT: u32 = 12;
/// Longer than the times between two syncs together make, so that a run that is killed has something to lose and
/// something to keep.
const WINDOW_SPAN_MS: u64 = 6_000;
const WINDOW_RATE: u64 = 8 * MIB;
const WINDOW_SIZE: u64 = 48 * MIB;
/// The downloader syncs at least every 2 s; the other 2 s are for the sync itself.
const WINDOW_SECONDS: u64 = 2 + 2;
/// Chunks on their way when a process is killed: they are not whole, so they do not count.
const ON_THE_WAY: u64 = 4 * MIB;

/// The bytes that passed the relay, and those of them that the journal keeps.
struct Account {
    passed: u64,
    held: u64,
    sharers_killed: u64,
}

impl Account {
    fn open(relay: &Relay, held: u64) -> Self {
        Self { passed: relay.passed(), held, sharers_killed: 0 }
    }

    /// Returns the bytes that came since and are not held. A fiftieth of the bytes may be protocol overhead.
    fn lost(&self, relay: &Relay, held: u64) -> u64 {
        let came = relay.passed() - self.passed;
        (came - came / 50 + self.held).saturating_sub(held)
    }

    /// Returns the bound on lost bytes with `downloaders` killed, 1 or none.
    fn bound(&self, downloaders: u64) -> u64 {
        downloaders * WINDOW_SECONDS * WINDOW_RATE + (1 + self.sharers_killed) * ON_THE_WAY
    }
}

/// Returns the number of bytes that the journal beside `copy` records.
fn journaled(stage: &Stage, copy: &str) -> u64 {
    let Ok(bytes) = std::fs::read(stage.path(&format!("{copy}.peernet-part.journal"))) else { return 0 };
    journal::decode(&bytes).map_or(0, |decoded| u64::from(decoded.held.len()) * MIB)
}

/// A world in which any process may be killed.
struct Arena {
    stage: Stage,
    relay: Relay,
    sharer: Option<Process>,
    listen: String,
    lot: Lot,
    seed: u64,
}

impl Arena {
    fn new() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        let stage = Stage::with(&["alice", "bob"]);
        let relay = Relay::start_unaimed(Faults { bytes_per_second: WINDOW_RATE, ..Faults::default() }).unwrap();
        let (sharer, listen) = daemon(&stage, &relay, "127.0.0.1:0");
        relay.aim(listen.parse::<SocketAddr>().unwrap());
        Self { stage, relay, sharer: Some(sharer), listen, lot: Lot(seed), seed }
    }

    fn kill_the_sharer(&mut self) {
        self.sharer.take().unwrap().kill9();
        self.sharer = Some(daemon(&self.stage, &self.relay, &self.listen).0);
    }

    /// One file, until it is there or so many kills are over; how many there were.
    fn transfer(&mut self, number: u32, kills_max: u32) -> u32 {
        let name = format!("{number}.bin");
        let copy = format!("{number}.copy");
        let size = WINDOW_SIZE + u64::from(number);
        let hash = self.stage.file(&name, size);
        self.stage.run("alice", &["share", &name]).ok();
        let arguments = ["download", &hash, "--output", &copy];
        let mut account = Account::open(&self.relay, 0);
        let mut download = Some(self.stage.start("bob", &arguments));
        let mut kills = 0;
        while kills < kills_max {
            let moment = self.lot.below(WINDOW_SPAN_MS);
            let _a_random_moment = crossbeam_channel::after(Duration::from_millis(moment)).recv();
            if self.stage.path(&copy).exists() {
                break;
            }
            let (downloader, sharer) = [(true, false), (false, true), (true, true)][self.lot.below(3) as usize];
            eprintln!("seed {}, {name}, kill after {moment} ms: downloader {downloader}, sharer {sharer}", self.seed);
            kills += 1;
            if downloader {
                download.take().unwrap().kill9();
                let held = journaled(&self.stage, &copy);
                let lost = account.lost(&self.relay, held);
                let done = self.stage.path(&copy).exists();
                assert!(done || lost <= account.bound(1), "seed {}: {lost} bytes lost, {held} held", self.seed);
                account = Account::open(&self.relay, held);
            }
            if sharer {
                account.sharers_killed += 1;
                self.kill_the_sharer();
            }
            download = download.or_else(|| Some(self.stage.start("bob", &arguments)));
        }
        ended(&mut download.unwrap()).ok();
        let lost = account.lost(&self.relay, size);
        assert!(lost <= account.bound(0), "seed {}: {lost} bytes came twice without a cause", self.seed);
        self.stage.assert_same(&name, &copy);
        kills
    }
}

#[test]
fn a_kill_refetches_at_most_one_sync_window() {
    let kills = std::env::var(KILLS).map_or(KILLS_DEFAULT, |text| text.parse().unwrap());
    let mut arena = Arena::new();
    let mut left = kills;
    let mut number = 0;
    while left > 0 {
        number += 1;
        left -= arena.transfer(number, left);
        for name in [format!("{number}.bin"), format!("{number}.copy")] {
            std::fs::remove_file(arena.stage.path(&name)).unwrap();
        }
    }
}
