//! Version 1 announces: chunks in any order, changed chunks, and seals that find no room.

use peernet_engine::random::Rng;

use super::*;
use crate::store::V1Listing;

/// The hashes of a file's listing by one peer.
fn listing(swarm: &Swarm, now: UnixMillis) -> Option<Vec<ChunkHash>> {
    let view = swarm.view(now, file(1), None)?;
    view.listings.first().map(|listing| listing.hashes.to_vec())
}

#[test]
fn chunks_in_any_order_make_one_listing() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let swarm = Swarm::new(Limits::default());
        let total = 1 + rng.below(12) as u32;
        let mut announced = std::collections::BTreeSet::new();
        let mut order: Vec<u32> = (0..total).chain((0..total).map(|_| rng.below(u64::from(total)) as u32)).collect();
        rng.shuffle(&mut order);
        for index in order {
            announce_v1(&swarm, NOW, &chunk(1, 1, total, index)).expect("there is room");
            announced.insert(index);
            let is_whole = announced.len() == total as usize;
            assert_eq!(listing(&swarm, NOW).is_some(), is_whole, "seed {seed}");
            assert_eq!(swarm.usage().0, 1, "one unfinished announce or one listing");
        }
        let expected: Vec<ChunkHash> = (0..total).map(|index| ChunkHash([index as u8; 32])).collect();
        assert_eq!(listing(&swarm, NOW), Some(expected), "seed {seed}");
        swarm.leave(NOW, peer(1), None);
        swarm.expire(at(11));
        assert_empty(&swarm);
    }
}

#[test]
fn the_last_statement_about_a_chunk_counts() {
    let swarm = Swarm::new(Limits::default());
    let other = |index| V1Chunk { chunk_hash: ChunkHash([99; 32]), ..chunk(1, 1, 3, index) };
    announce_v1(&swarm, NOW, &chunk(1, 1, 3, 0)).expect("there is room");
    announce_v1(&swarm, NOW, &other(0)).expect("there is room");
    announce_v1(&swarm, NOW, &chunk(1, 1, 3, 1)).expect("there is room");
    announce_v1(&swarm, NOW, &chunk(1, 1, 3, 2)).expect("there is room");
    let hashes = |first: u8, second: u8| Some([first, second, 2].map(|byte| ChunkHash([byte; 32])).to_vec());
    assert_eq!(listing(&swarm, NOW), hashes(99, 1), "of a staged chunk");
    let version = || swarm.version_of(file(1)).expect("is known").0;
    let before = version();
    announce_v1(&swarm, NOW, &other(1)).expect("there is room");
    assert_eq!(listing(&swarm, NOW), hashes(99, 99), "of a listed chunk");
    assert_eq!(version(), before + 1, "a plan shows other sources now");
    announce_v1(&swarm, NOW, &other(1)).expect("there is room");
    assert_eq!(version(), before + 1, "nothing new was stated");
}

#[test]
fn another_number_of_chunks_is_another_announce() {
    let swarm = Swarm::new(Limits::default());
    (0..2).for_each(|index| announce_v1(&swarm, NOW, &chunk(1, 1, 2, index)).expect("there is room"));
    (0..2).for_each(|index| announce_v1(&swarm, NOW, &chunk(1, 1, 3, index)).expect("there is room"));
    assert_eq!(listing(&swarm, NOW).map(|hashes| hashes.len()), Some(2), "the whole one is listed");
    announce_v1(&swarm, NOW, &chunk(1, 1, 3, 2)).expect("there is room");
    assert_eq!(listing(&swarm, NOW).map(|hashes| hashes.len()), Some(3), "the later one takes its place");
    assert_eq!(swarm.usage().0, 1);
}

#[test]
fn a_seal_that_finds_no_room_leaves_nothing_behind() {
    let swarm = Swarm::new(Limits { bytes_max: RECORD_BYTES + 10 * 32, ..Limits::default() });
    let sealed = |chunks: usize| V1Listing {
        peer: peer(1),
        file_hash: file(1),
        file_name: "f".to_owned(),
        chunk_hashes: vec![ChunkHash([1; 32]); chunks],
        expires_at: at(60),
        created_at: NOW,
    };
    assert_eq!(swarm.v1_sealed(NOW, sealed(11), &address()), Err(Full::Tracker));
    assert_empty(&swarm);
    swarm.v1_sealed(NOW, sealed(10), &address()).expect("fits exactly");
    assert_eq!(swarm.v1_sealed(NOW, sealed(11), &address()), Err(Full::Tracker));
    assert_empty(&swarm);
    swarm.v1_sealed(NOW, sealed(10), &address()).expect("the room is free again");
}

#[test]
fn an_address_that_does_not_answer_is_not_listed() {
    let swarm = Swarm::new(Limits::default());
    announce_v1(&swarm, NOW, &chunk(1, 1, 1, 0)).expect("there is room");
    let known = swarm.v1_address(peer(1)).expect("is kept");
    assert_eq!(swarm.v1_addresses().len(), 1);
    known.set_reachable(false);
    assert_eq!(listed(&swarm, NOW, 1), 0);
    assert_eq!(swarm.sources_of(file(1)), 1, "the lease stays");
    known.set_reachable(true);
    assert_eq!(listed(&swarm, NOW, 1), 1);
    swarm.leave(NOW, peer(1), None);
    assert!(swarm.v1_address(peer(1)).is_none(), "no file names the peer");
}
