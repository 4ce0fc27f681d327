//! `kill -9` of whoever, whenever.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use peernet_testkit::process::Process;
use peernet_testkit::relay::{Faults, Relay};

use super::{PATIENCE, Stage, ended};

const MIB: u64 = 1 << 20;
/// Slow enough for a kill to come in the middle.
const RATE: u64 = 6 * MIB;
/// A kill comes within this time after the start of a download.
const SPAN_MS: u64 = 1_200;
const KILLS_PER_FILE: u32 = 3;

/// xorshift64: which moment and whose turn.
struct Lot(u64);

impl Lot {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Alice's daemon behind a line that stays while daemons come and go; and where it listens.
fn daemon(stage: &Stage, relay: &Relay, listen: &str) -> (Process, String) {
    let address = relay.address().to_string();
    let mut daemon = stage.start("alice", &["daemon", "--listen", listen, "--address", &address]);
    let line = daemon.line_with("peernet daemon listening on ", PATIENCE);
    (daemon, super::last_word(&line).to_owned())
}

#[test]
fn whoever_is_killed_whenever_the_same_commands_end_with_the_right_bytes() {
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
                // Where the line leads to; nobody else got the port meanwhile.
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
