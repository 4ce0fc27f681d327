//! Mixed abuse of a tracker and of a peer, by strangers and by a member: what it leaves behind, and what honest
//! transfers need meanwhile.

mod attacks;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use peernet_testkit::fixture;
use serde_json::{Value, json};

use crate::host::Host;
use crate::parts::{Peer, Sharer, Tracker};
use crate::report::Report;
use crate::{Options, measure};
use attacks::{Attacker, Targets};

/// The file that is fetched honestly, and how often each time.
const FILE_BYTES: u64 = 256 << 20;
const FETCHES: usize = 5;
/// Threads of abuse, and how many attacks each begins a second: so that the victims' work and not the attackers' own is
/// measured.
const ATTACKERS: u64 = 4;
const ATTACKS_A_SECOND: u32 = 150;
/// After the longest deadline of both victims everything they held for strangers must be gone.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// The interval between two looks at the victims.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The memory that a process may keep in addition: slack of its heap.
const RSS_SLACK_KIB: u64 = 16 << 10;

/// The scenario `abuse`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("honest.bin");
    let hash = fixture::write_file(&file, FILE_BYTES, 1)?;
    let flags = ["--connections-per-address-max", "1000"];
    let tracker = Tracker::start_with_flags(folder.path(), &flags)?;
    let alice = Peer::register(&Host::here(), folder.path(), "alice", &tracker.url)?;
    let bob = Peer::register(&Host::here(), folder.path(), "bob", &tracker.url)?;
    let sharer = alice.share(&[&file], &[])?;
    let mut report = Report::start("abuse", &options.note)?;
    let scene = Scene { tracker, sharer, bob, hash, target: folder.path().join("got.bin") };
    let fresh = scene.state()?;
    // Warm: what the first transfers and attacks make lasts.
    scene.abused(folder.path(), Duration::from_secs(5), &mut |_| scene.fetch().map(drop))?;
    let before = scene.settled(&fresh)?;
    for round in 0..FETCHES {
        report.add("honest, alone", round, scene.fetch()?)?;
    }
    let (began, own) = (Instant::now(), measure::cpu_so_far(std::process::id())?);
    let attacks = scene.abused(folder.path(), Duration::from_secs(options.seconds), &mut |round| {
        report.add("honest, beside abuse", round, scene.fetch()?)
    })?;
    let (took, own) = (began.elapsed(), measure::cpu_so_far(std::process::id())?.saturating_sub(own));
    let after = scene.settled(&before)?;
    report.add(
        "abuse",
        0,
        json!({"attacks": attacks, "seconds": took.as_secs_f64(), "attackers_cpu_s": own.as_secs_f64(), "before": before, "after": after}),
    )?;
    report.summary(&["wall_s"]);
    judge(&report, &before, &after)
}

struct Scene {
    tracker: Tracker,
    sharer: Sharer,
    bob: Peer,
    hash: String,
    target: std::path::PathBuf,
}

impl Scene {
    /// An honest transfer.
    fn fetch(&self) -> io::Result<Value> {
        let cost = measure::run(&mut self.bob.download(&self.hash, &self.target)?)?;
        fs::remove_file(&self.target)?;
        Ok(cost.json())
    }

    /// Abuse for so long, with `honest` again and again meanwhile; how many attacks there were.
    fn abused(&self, home: &Path, span: Duration, honest: &mut dyn FnMut(usize) -> io::Result<()>) -> io::Result<u64> {
        let tracker: SocketAddr = self.tracker.url.trim_start_matches("http://").parse().map_err(io::Error::other)?;
        let targets = Targets { tracker, peer: self.sharer.listen };
        let (stop, attacks) = (AtomicBool::new(false), AtomicU64::new(0));
        let member = home.join("bob");
        std::thread::scope(|scope| {
            for number in 0..ATTACKERS {
                let mut attacker = Attacker::new(&targets, &member, number)?;
                let (stop, attacks) = (&stop, &attacks);
                scope.spawn(move || attack(&mut attacker, stop, attacks));
            }
            let began = Instant::now();
            let mut round = 0;
            let mut done = Ok(());
            while began.elapsed() < span && done.is_ok() {
                done = honest(round);
                round += 1;
            }
            stop.store(true, Ordering::Relaxed);
            done.map(|()| attacks.load(Ordering::Relaxed))
        })
    }

    /// Returns the victims' resources once they are back at `before`, or after [`SETTLE_MAX`].
    fn settled(&self, before: &Value) -> io::Result<Value> {
        let began = Instant::now();
        loop {
            let now = self.state()?;
            if began.elapsed() > SETTLE_MAX || excesses(before, &now).iter().all(|(_, holds)| *holds) {
                return Ok(now);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Returns the present resources of both victims.
    fn state(&self) -> io::Result<Value> {
        let of = |pid: u32| -> io::Result<Value> {
            let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).map(Iterator::count);
            let cpu = measure::cpu_so_far(pid)?.as_secs_f64();
            Ok(
                json!({"rss_kib": measure::rss_kib(pid)?, "threads": count("task")?, "files": count("fd")?, "cpu_s": cpu}),
            )
        };
        Ok(json!({"tracker": of(self.tracker.process.id())?, "peer": of(self.sharer.process.id())?}))
    }
}

fn attack(attacker: &mut Attacker<'_>, stop: &AtomicBool, attacks: &AtomicU64) {
    let every = Duration::from_secs(1) / ATTACKS_A_SECOND;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // What becomes of one is the victim's affair: most are refused.
        let _refused_or_not = attacker.attack();
        attacks.fetch_add(1, Ordering::Relaxed);
        next += every;
        // Woken early, it is a little early: the next one makes up for it.
        std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
    }
}

/// Says what holds; an error where something does not.
fn judge(report: &Report, before: &Value, after: &Value) -> io::Result<()> {
    let mut all = true;
    let mut say = |what: String, holds: bool| {
        println!("{} {what}", if holds { "holds:" } else { "DOES NOT HOLD:" });
        all &= holds;
    };
    let wall = |who: &str| report.median(who, "wall_s").unwrap_or(f64::NAN);
    let ratio = wall("honest, beside abuse") / wall("honest, alone");
    say(format!("honest transfers took {ratio:.2} x their time"), ratio <= 2.0);
    excesses(before, after).into_iter().for_each(|(what, holds)| say(what, holds));
    if all { Ok(()) } else { Err(io::Error::other("abuse leaves something behind")) }
}

/// Compares each resource of each victim with `before`. The flag is true within the slack.
fn excesses(before: &Value, after: &Value) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for victim in ["tracker", "peer"] {
        let number = |state: &Value, what: &str| state[victim][what].as_u64().unwrap_or(u64::MAX);
        for (what, slack) in [("rss_kib", RSS_SLACK_KIB), ("threads", 2), ("files", 4)] {
            let (was, is) = (number(before, what), number(after, what));
            all.push((format!("{victim}: {what} {was} before, {is} after"), is <= was.saturating_add(slack)));
        }
    }
    all
}
