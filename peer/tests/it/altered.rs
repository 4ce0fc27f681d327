//! Tests of a shared file that changes while its size and time stay the same. Only its downloaders can notice.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peernet::{Cancel, DownloadOptions, Log, Node, Target};
use peernet_testkit::fixture::sha256_file;

use crate::swarm::{Catalogue, MIB, Peer, Stage};
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

/// Changes one byte, and neither size nor time of the file.
fn alter(path: &Path, at: u64) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
    file.set_modified(before).unwrap();
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come within {PATIENCE:?}");
        let _a_moment = crossbeam_channel::after(Duration::from_millis(20)).recv();
    }
}

#[test]
fn a_file_changed_in_place_is_withdrawn_after_a_complaint() {
    let world = World::new();
    let said = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&said);
    let log = Log::new(move |_, message| hears.lock().unwrap().push(message.to_owned()));
    let builder = Node::builder().home(world.path("alice")).tracker(world.tracker.url()).listen("127.0.0.1:0");
    let alice = builder.log(log).build().unwrap();
    alice.register("a password").unwrap();
    alice.serve().unwrap();
    let (path, _) = world.file("f.bin", (3 << 20) + 5);
    let shared = alice.share(&path, &mut |_| {}, &Cancel::new()).unwrap();
    alter(&path, 2 << 20);

    let bob = world.node("bob");
    let options = DownloadOptions { output: Some(world.path("bob.bin")), ..DownloadOptions::default() };
    let target = Target::parse(&shared.link).unwrap();
    let cancel = Cancel::new();
    let bobs = std::thread::scope(|scope| {
        let download = scope.spawn(|| bob.download(&target, &options, &mut |_| {}, &cancel));
        eventually("the withdrawal", || alice.shares().is_empty());
        // It would wait for another source for a while.
        cancel.cancel();
        download.join().unwrap()
    });
    assert!(bobs.is_err() && !world.path("bob.bin").exists(), "{bobs:?}");
    eventually("the tracker's knowing it", || alice.me().unwrap().files_shared == 0);
    let said = said.lock().unwrap();
    let told = format!("{} has changed (its size and time are as they were)", path.display());
    assert!(said.iter().any(|line| line.starts_with(&told) && line.contains("no longer shared")), "{said:?}");
}

#[test]
fn only_the_changed_source_is_withdrawn() {
    let stage = Stage::with(6 * MIB);
    let copy = stage.path("copy-of-the-original");
    fs::copy(&stage.original, &copy).unwrap();
    let changed = Peer::sharing(&copy, &stage.manifest);
    let honest = stage.peer();
    alter(&copy, 100);
    alter(&copy, 5 * MIB as u64);
    let directory = Catalogue::of(&stage.manifest, vec![changed.source()]);
    std::thread::scope(|scope| {
        let download = scope.spawn(|| stage.fetch(&directory));
        eventually("the withdrawal", || changed.library.altered.load(Ordering::Relaxed) > 0);
        directory.plan.lock().unwrap().manifests[0].sources.push(honest.source());
        stage.assert_complete(&download.join().unwrap().unwrap());
    });
    assert_eq!(honest.server.counters().complaints, 0);
    assert_eq!(honest.library.altered.load(Ordering::Relaxed), 0);
    assert_eq!(changed.library.spoiled.load(Ordering::Relaxed), 0);
    assert_eq!(sha256_file(&stage.final_path()).unwrap(), stage.manifest.file_hash().to_string());
}
