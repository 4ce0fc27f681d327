//! A tracker and two nodes in one process: one shares a file, the other downloads it, and the hashes are compared.
//!
//! `cargo run --example in_process`

use std::error::Error;
use std::fs;

use peernet::{Cancel, DownloadOptions, Node, Target};
use peernet_testkit::fixture;
use peernet_tracker::Tracker;

/// Enough for a few chunks.
const FILE_BYTES: u64 = 20 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    peernet::tune_for_transfers();
    let folder = tempfile::tempdir()?;

    let tracker = Tracker::builder().listen("127.0.0.1:0").data_dir(folder.path().join("tracker")).start()?;
    println!("a tracker listens at {}", tracker.url());

    let node = |name: &str| {
        Node::builder().home(folder.path().join(name)).tracker(tracker.url()).listen("127.0.0.1:0").build()
    };
    let alice = node("alice")?;
    let bob = node("bob")?;
    println!("alice is {}", alice.register("correct horse battery staple")?);
    println!("bob is {}", bob.register("a different password")?);

    let original = folder.path().join("sample.bin");
    let expected = fixture::write_file(&original, FILE_BYTES, 42)?;
    println!("alice listens on {}", alice.serve()?);
    let shared = alice.share(&original, &mut |_| {}, &Cancel::new())?;
    println!("alice shares {} as {}", shared.file_name, shared.link);

    let options = DownloadOptions { output: Some(folder.path().join("copy.bin")), ..DownloadOptions::default() };
    let mut most_sources = 0;
    let done = bob.download(
        &Target::parse(&shared.link)?,
        &options,
        &mut |progress| most_sources = most_sources.max(progress.sources.len()),
        &Cancel::new(),
    )?;
    println!("bob has {} bytes from {most_sources} source in {:?}", done.size, done.took);

    let got = fixture::sha256_file(&done.path)?;
    println!("expected SHA-256 {expected}\nbob's file is   {got}");
    assert_eq!(expected, got, "the copy differs");
    assert_eq!(fs::metadata(&done.path)?.len(), FILE_BYTES);

    for (name, node) in [("alice", &alice), ("bob", &bob)] {
        let me = node.me()?;
        println!("{name}: reputation {:.2}, {} tokens", me.reputation_score, me.balance_mt / 1_000);
    }
    bob.stop();
    alice.stop();
    tracker.stop();
    println!("done");
    Ok(())
}
