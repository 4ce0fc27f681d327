//! Many small files against one large one of the same size: what a file costs beyond its bytes.
//!
//! Nothing is removed before the end: for some minutes after ten thousand files were, ext4 looks at every one of their
//! inodes for each file it makes, and any program, cp as well, needs several times as long.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use peernet_testkit::fixture;
use serde_json::Value;

use crate::host::Host;
use crate::parts::{Peer, Sharer, Tracker};
use crate::report::{Report, shown};
use crate::{Options, measure};

const FILES: usize = 10_000;
const FILE_BYTES: u64 = 4 << 10;
/// Files of one folder of the collection.
const FILES_PER_FOLDER: usize = 100;
const LARGE_BYTES: u64 = 40 << 20;
const MANY: &str = "10,000 files of 4 KiB";
/// The time of the file system for the files alone, without a sync.
const COPY: &str = "cp -r of the 10,000 files";
const LARGE: &str = "one file of 40 MiB";

/// The scenario `collection`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let tracker = Tracker::start(folder.path())?;
    let alice = Peer::register(&Host::here(), folder.path(), "alice", &tracker.url)?;
    let carol = Peer::register(&Host::here(), folder.path(), "carol", &tracker.url)?;
    let bob = Peer::register(&Host::here(), folder.path(), "bob", &tracker.url)?;
    let (many, large) = (folder.path().join("many"), folder.path().join("large.bin"));
    write_many(&many)?;
    fixture::write_file(&large, LARGE_BYTES, 1)?;
    let mut report = Report::start("collection", &options.note)?;
    let mut sharing = |who: &'static str, peer: &Peer, path: &Path| -> io::Result<Case> {
        let began = std::time::Instant::now();
        let sharer = peer.share(&[path], &[])?;
        let cost = measure::Cost::of_running(sharer.process.id(), began.elapsed())?;
        report.add(&format!("share {who}"), 0, cost.json())?;
        Ok(Case { who, sharer, original: path.to_owned() })
    };
    let cases = [sharing(MANY, &alice, &many)?, sharing(LARGE, &carol, &large)?];
    for (number, round) in options.rounds_and_a_warm_up(1).enumerate() {
        for case in &cases {
            let record = case.fetch(&bob, &folder.path().join(format!("got-{number}")))?;
            report.add(case.who, round, record)?;
        }
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(&many).arg(folder.path().join(format!("copy-{number}")));
        report.add(COPY, round, measure::run(&mut copy)?.json())?;
    }
    report.summary(&["wall_s", "cpu_s", "peak_rss_mib"]);
    let ratio = report.median(MANY, "wall_s").zip(report.median(LARGE, "wall_s")).map(|(many, large)| many / large);
    println!("{MANY}: {} x the time of {LARGE}", shown(ratio));
    Ok(())
}

fn write_many(folder: &Path) -> io::Result<()> {
    for number in 0..FILES {
        let below = folder.join(format!("{:03}", number / FILES_PER_FOLDER));
        fs::create_dir_all(&below)?;
        fixture::write_file(&below.join(format!("{number:05}.bin")), FILE_BYTES, number as u64)?;
    }
    Ok(())
}

struct Case {
    who: &'static str,
    sharer: Sharer,
    original: PathBuf,
}

impl Case {
    fn fetch(&self, bob: &Peer, got: &Path) -> io::Result<Value> {
        fs::create_dir_all(got)?;
        // A file that is to be called so, or a folder to be made.
        let output = got.join(self.original.file_name().unwrap_or_default());
        let before = measure::cpu_so_far(self.sharer.process.id())?;
        let mut cost = measure::run(&mut bob.download(&self.sharer.link, &output)?)?;
        cost.cpu += measure::cpu_so_far(self.sharer.process.id())?.saturating_sub(before);
        same(&self.original, &output)?;
        Ok(cost.json())
    }
}

/// Every file of `original` has its equal in `copy`, at the same place in it or one folder deeper.
fn same(original: &Path, copy: &Path) -> io::Result<()> {
    if !original.is_dir() {
        return if fixture::sha256_file(original)? == fixture::sha256_file(copy)? {
            Ok(())
        } else {
            Err(differs(copy))
        };
    }
    let deeper = copy.join(original.file_name().unwrap_or_default());
    let copy = if deeper.is_dir() { deeper } else { copy.to_owned() };
    for entry in fs::read_dir(original)? {
        let entry = entry?;
        same(&entry.path(), &copy.join(entry.file_name()))?;
    }
    Ok(())
}

fn differs(path: &Path) -> io::Error {
    io::Error::other(format!("{} has other bytes than its original", path.display()))
}
