//! The order in which equals are named.

use std::collections::BTreeMap;

use super::client::{File, on_sqlite};

#[test]
fn equals_share_the_first_place_over_requests_and_over_chunks() {
    on_sqlite(|api| {
        let caller = api.peer(100);
        let file = File::new(1, 16);
        for n in 0..8 {
            api.peer(n).announce_v1(&file);
        }
        let mut by_request = BTreeMap::<String, u32>::new();
        let mut by_chunk = BTreeMap::<String, u32>::new();
        for _ in 0..80 {
            let chunks = caller.lookup(&file);
            *by_request.entry(chunks[0].1[0].clone()).or_default() += 1;
            chunks.iter().for_each(|(_, peers)| *by_chunk.entry(peers[0].clone()).or_default() += 1);
        }
        // 80 lookups, 1,280 chunks, 8 equals: 10 and 160 each in the mean.
        assert!(by_request.len() == 8 && by_request.values().all(|n| (1..=30).contains(n)), "{by_request:?}");
        assert!(by_chunk.len() == 8 && by_chunk.values().all(|n| (100..=220).contains(n)), "{by_chunk:?}");
    });
}

#[test]
fn a_complaint_puts_its_target_last_for_its_caller_only() {
    on_sqlite(|api| {
        let caller = api.peer(100);
        let other = api.peer(101);
        let file = File::new(1, 4);
        let sources: Vec<_> = (0..3).map(|n| api.peer(n)).collect();
        sources.iter().for_each(|source| source.announce_v1(&file));
        caller.lookup(&file);
        caller.report(&sources[1], &file, 0, "FAILED_UPLOAD");
        for _ in 0..20 {
            assert!(caller.lookup(&file).iter().all(|(_, peers)| peers.last() == Some(&sources[1].id)));
        }
        let firsts = (0..20).flat_map(|_| other.lookup(&file)).filter(|(_, peers)| peers[0] == sources[1].id);
        assert!(firsts.count() > 0);
    });
}
