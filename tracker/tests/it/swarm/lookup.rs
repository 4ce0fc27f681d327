//! Version 1's lookup: the chunks and the peers that it lists.

use serde_json::json;

use super::client::{File, on_both, on_sqlite};

#[test]
fn an_unknown_file_has_no_chunks_and_a_bad_hash_is_refused() {
    on_both(|api| {
        let peer = api.peer(1);
        assert_eq!(peer.get(&format!("/api/v1/files/lookup/{}", "0".repeat(64))), (200, json!({"chunks": {}})));
        for bad in ["0", &"A".repeat(64), &"g".repeat(64), "%2e%2e"] {
            let (status, answer) = peer.get(&format!("/api/v1/files/lookup/{bad}"));
            assert_eq!((status, answer["code"].as_str()), (400, Some("invalid_file_hash")), "{bad}");
        }
    });
}

#[test]
fn the_caller_is_not_listed_to_itself() {
    on_both(|api| {
        let source = api.peer(1);
        let other = api.peer(2);
        let file = File::new(1, 2);
        source.announce_v1(&file);
        assert!(source.lookup(&file).is_empty());
        other.announce_v1(&file);
        assert!(source.lookup(&file).iter().all(|(_, peers)| *peers == [other.id.clone()]));
    });
}

#[test]
fn holders_of_both_forms_are_listed_where_their_hashes_agree() {
    on_both(|api| {
        let old = api.peer(1);
        let new = api.peer(2);
        let partial = api.peer(3);
        let caller = api.peer(4);
        let file = File::new(1, 9);
        old.announce_v1(&file);
        new.announce_v2(&file, json!("complete"));
        partial.announce_v2(&file, json!({"bitmap": "gAA="}));
        let named: Vec<usize> = caller.lookup(&file).iter().map(|(_, peers)| peers.len()).collect();
        assert_eq!(named, [3, 2, 2, 2, 2, 2, 2, 2, 2]);
    });
}

#[test]
fn a_file_with_a_chunk_that_nobody_holds_is_not_listed() {
    on_both(|api| {
        let one = api.peer(1);
        let other = api.peer(2);
        let caller = api.peer(3);
        let file = File::new(1, 9);
        one.announce_v2(&file, json!({"bitmap": "/wA="}));
        assert!(caller.lookup(&file).is_empty());
        other.announce_v2(&file, json!({"bitmap": "AYA="}));
        let named: Vec<usize> = caller.lookup(&file).iter().map(|(_, peers)| peers.len()).collect();
        assert_eq!(named, [1, 1, 1, 1, 1, 1, 1, 2, 1]);
        one.leave();
        assert!(caller.lookup(&file).is_empty());
    });
}

#[test]
fn other_chunk_sizes_are_not_listed() {
    on_sqlite(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File { chunk_size: 2 << 20, ..File::new(1, 2) };
        source.announce_v2(&file, json!("complete"));
        assert!(caller.lookup(&file).is_empty());
        assert_eq!(caller.plan(&file)["manifests"][0]["chunk_size"], 2 << 20);
    });
}

#[test]
fn of_conflicting_announces_the_most_held_one_is_listed() {
    on_both(|api| {
        let honest = [api.peer(1), api.peer(2)];
        let liar = api.peer(3);
        let caller = api.peer(4);
        let file = File::new(1, 2);
        let mut lie = file.clone();
        lie.hashes[0] = "cd".repeat(32);
        liar.announce_v1(&lie);
        assert_eq!(caller.lookup(&file)[0].0, lie.hashes[0]);
        honest.iter().for_each(|peer| peer.announce_v1(&file));
        let chunks = caller.lookup(&file);
        assert_eq!(chunks[0].0, file.hashes[0]);
        assert!(chunks.iter().all(|(_, peers)| peers.len() == 2 && !peers.contains(&liar.id)));
    });
}
