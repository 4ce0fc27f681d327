//! Version 1's announce: one call per chunk.

use std::time::Instant;

use peernet_tracker::Tracker;
use serde_json::json;

use super::client::{Api, File, on_both, on_sqlite, quiet};

#[test]
fn a_half_announced_file_is_invisible_and_a_whole_one_is_not() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 5);
        for index in [4, 0, 2, 2, 3] {
            source.announce_chunk(&file, index);
            assert!(caller.lookup(&file).is_empty());
        }
        source.announce_chunk(&file, 1);
        let expected: Vec<_> = file.hashes.iter().map(|hash| (hash.clone(), vec![source.id.clone()])).collect();
        assert_eq!(caller.lookup(&file), expected);
        assert_eq!(source.me()["files_shared"], 1);
    });
}

#[test]
fn announcing_again_changes_nothing() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 3);
        source.announce_v1(&file);
        let before = caller.lookup(&file);
        source.announce_v1(&file);
        assert_eq!(caller.lookup(&file), before);
    });
}

#[test]
fn the_last_word_on_a_chunk_counts() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 3);
        source.announce_v1(&file);
        let mut other = file.clone();
        other.hashes[1] = "ab".repeat(32);
        source.announce_chunk(&other, 1);
        assert_eq!(caller.lookup(&file)[1].0, other.hashes[1]);
    });
}

#[test]
fn pieces_of_two_announcers_do_not_make_a_file() {
    on_sqlite(|api| {
        let one = api.peer(1);
        let other = api.peer(2);
        let caller = api.peer(3);
        let file = File::new(1, 2);
        one.announce_chunk(&file, 0);
        other.announce_chunk(&file, 1);
        assert!(caller.lookup(&file).is_empty());
    });
}

#[test]
fn who_has_no_address_is_told_so() {
    on_both(|api| {
        let (status, answer) = api.nomad().post("/api/v1/files/announce", &File::new(1, 1).chunk_body(0));
        assert_eq!((status, &answer["code"]), (409, &json!("no_address")));
    });
}

#[test]
fn leaving_ends_listings_and_unfinished_announces() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let whole = File::new(1, 2);
        let half = File::new(2, 2);
        source.announce_v1(&whole);
        source.announce_chunk(&half, 0);
        assert_eq!(source.leave(), 2);
        assert!(caller.lookup(&whole).is_empty());
        source.announce_chunk(&half, 1);
        assert!(caller.lookup(&half).is_empty(), "its other chunk was forgotten");
        assert_eq!(source.leave(), 1);
        assert_eq!(source.me()["files_shared"], 0);
    });
}

#[test]
fn a_burst_of_1024_announces_on_one_connection_is_one_file() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 1_024);
        let started = Instant::now();
        source.announce_v1(&file);
        let rate = 1_024.0 / started.elapsed().as_secs_f64();
        println!("{rate:.0} announces a second");
        assert_eq!(caller.lookup(&file).len(), 1_024);
    });
}

#[test]
fn what_was_announced_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::builder().config(quiet(folder.path())).start().unwrap();
    let api = Api::new(&tracker.url());
    let source = api.peer(1);
    let caller = api.peer(2);
    let whole = File::new(1, 3);
    let half = File::new(2, 2);
    let shared = File::new(3, 9);
    source.announce_v1(&whole);
    source.announce_chunk(&half, 0);
    source.announce_v2(&shared, json!("complete"));
    assert!(tracker.stop());
    let tracker = Tracker::builder().config(quiet(folder.path())).start().unwrap();
    let source = source.at(&tracker.url());
    let caller = caller.at(&tracker.url());
    assert_eq!(caller.lookup(&whole).len(), 3);
    assert_eq!(caller.lookup(&shared).len(), 9);
    assert!(caller.lookup(&half).is_empty());
    source.announce_chunk(&half, 1);
    assert_eq!(caller.lookup(&half).len(), 2);
    assert_eq!(source.me()["files_shared"], 3);
}
