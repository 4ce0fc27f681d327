//! The index on its own: bounds, deadlines, remembered holders.

use std::sync::Arc;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::candidate::Candidate;
use peernet_engine::ids::{ChunkCount, ChunkHash, ChunkIndex, FileHash, ManifestId, PeerId};
use peernet_engine::plan::Held;
use peernet_engine::time::UnixMillis;

use super::*;
use crate::store::MANIFESTS_MAX;

mod lookup;
mod model;
mod v1;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const MINUTE: i64 = 60_000;

fn at(minutes: i64) -> UnixMillis {
    UnixMillis(NOW.0 + minutes * MINUTE)
}

fn peer(n: u8) -> PeerId {
    PeerId([n; 16])
}

fn file(n: u8) -> FileHash {
    FileHash([n; 32])
}

fn lease(peer_number: u8, file_number: u8, held: Held) -> Lease {
    let meta = ManifestMeta { size: 9 << 20, chunk_size: 1 << 20, chunks: 9, digest: HashesDigest([file_number; 32]) };
    Lease {
        peer: peer(peer_number),
        file_hash: file(file_number),
        manifest_id: ManifestId([file_number; 32]),
        meta: Some(meta),
        file_name: "f".to_owned(),
        location: Arc::new(Location::plain("a:1")),
        site: None,
        held,
        trusted: false,
    }
}

fn some(chunks: &[u32]) -> Held {
    let mut bitmap = Bitmap::empty(ChunkCount(9));
    for index in chunks {
        bitmap.insert(ChunkIndex(*index));
    }
    Held::of(bitmap)
}

fn chunk(peer_number: u8, file_number: u8, total: u32, index: u32) -> V1Chunk {
    V1Chunk {
        peer: peer(peer_number),
        file_hash: file(file_number),
        total_chunks: total,
        index,
        chunk_hash: ChunkHash([index as u8; 32]),
        file_name: "f".to_owned(),
        expires_at: at(24 * 60),
    }
}

fn address() -> Arc<V1Address> {
    Arc::new(V1Address::new(Candidate::host("a:1").expect("an address")))
}

/// Does what the handler does for one chunk, while the store works.
fn announce_v1(swarm: &Swarm, now: UnixMillis, chunk: &V1Chunk) -> Result<(), Full> {
    match swarm.v1_next(now, chunk, &address())? {
        V1Step::Unchanged => Ok(()),
        V1Step::Stage => match swarm.v1_staged(now, chunk, &address())? {
            Some(listing) => swarm.v1_sealed(now, *listing, &address()),
            None => Ok(()),
        },
        V1Step::Seal(listing) => swarm.v1_sealed(now, *listing, &address()),
    }
}

fn listed(swarm: &Swarm, now: UnixMillis, file_number: u8) -> usize {
    let Some(view) = swarm.view(now, file(file_number), None) else { return 0 };
    view.listings.len() + view.manifests.iter().map(|manifest| manifest.holders.len()).sum::<usize>()
}

fn assert_empty(swarm: &Swarm) {
    assert_eq!(swarm.usage(), (0, 0));
    assert!(swarm.shards.iter().all(|shard| lock(shard).files.is_empty()));
    assert!((0..=255).all(|n| swarm.files_of(peer(n)) == 0));
}

#[test]
fn leases_end_on_time_and_leave_nothing_behind() {
    let swarm = Swarm::new(Limits::default());
    swarm.announce(NOW, lease(1, 1, Held::Complete), None).unwrap();
    swarm.announce(NOW, lease(2, 1, some(&[0])), None).unwrap();
    swarm.announce(at(4), lease(1, 1, Held::Complete), None).unwrap();
    announce_v1(&swarm, NOW, &chunk(3, 1, 1, 0)).unwrap();
    announce_v1(&swarm, NOW, &chunk(4, 1, 2, 0)).unwrap();
    let seen = [at(0), at(5), at(9), at(24 * 60)].map(|now| {
        swarm.expire(now);
        listed(&swarm, now, 1)
    });
    assert_eq!(seen, [3, 2, 1, 0]);
    assert_eq!(listed(&swarm, at(24 * 60 + 11), 1), 0);
    swarm.expire(at(24 * 60 + 11));
    assert_empty(&swarm);
}

#[test]
fn an_expired_lease_is_not_listed_before_the_thread_comes() {
    let swarm = Swarm::new(Limits::default());
    swarm.announce(NOW, lease(1, 1, Held::Complete), None).unwrap();
    assert_eq!((listed(&swarm, at(4), 1), listed(&swarm, at(5), 1)), (1, 0));
}

#[test]
fn who_left_still_counts_as_holding_for_ten_minutes() {
    let swarm = Swarm::new(Limits::default());
    swarm.announce(NOW, lease(1, 1, some(&[2])), None).unwrap();
    let holds = |now, index| swarm.holds(now, peer(1), file(1), ChunkIndex(index));
    assert!(holds(NOW, 2) && !holds(NOW, 3) && !holds(NOW, 9));
    assert_eq!(swarm.leave(at(1), peer(1), None), 1);
    assert_eq!(listed(&swarm, at(1), 1), 0);
    assert!(holds(at(10), 2) && !holds(at(10), 3) && !holds(at(11), 2));
    swarm.expire(at(11));
    assert_empty(&swarm);
}

#[test]
fn a_lease_that_ends_with_an_older_departure_still_counts() {
    let swarm = Swarm::new(Limits::default());
    swarm.announce(NOW, lease(1, 1, Held::Complete), None).unwrap();
    swarm.leave(NOW, peer(1), None);
    swarm.announce(at(5), lease(1, 1, Held::Complete), None).unwrap();
    assert_eq!(swarm.expire(at(10)), 1, "the lease and the first departure end together");
    let holds = |now| swarm.holds(now, peer(1), file(1), ChunkIndex(0));
    assert!(holds(at(10)) && holds(at(19)) && !holds(at(20)));
}

#[test]
fn the_index_s_bounds_are_answers_and_room_comes_back() {
    let limits = Limits { leases_max: 2, files_per_peer_max: 2, ..Limits::default() };
    let swarm = Swarm::new(limits);
    swarm.announce(NOW, lease(1, 1, Held::Complete), None).unwrap();
    announce_v1(&swarm, NOW, &chunk(2, 2, 1, 0)).unwrap();
    assert_eq!(swarm.announce(NOW, lease(3, 3, Held::Complete), None), Err(Full::Tracker));
    assert_eq!(announce_v1(&swarm, NOW, &chunk(3, 3, 2, 0)), Err(Full::Tracker));
    assert_eq!(announce_v1(&swarm, NOW, &chunk(3, 3, 1, 0)), Err(Full::Tracker));
    swarm.announce(NOW, lease(1, 1, Held::Complete), None).expect("a renewal needs no room");
    assert_eq!(swarm.files_of(peer(3)), 0);
    swarm.expire(at(48 * 60));
    swarm.expire(at(49 * 60));
    assert_empty(&swarm);
    swarm.announce(at(50 * 60), lease(3, 3, Held::Complete), None).unwrap();
}

#[test]
fn an_account_s_own_bounds_are_answers() {
    let swarm = Swarm::new(Limits { files_per_peer_max: 2, staged_per_peer_max: 3, ..Limits::default() });
    (1..=2).for_each(|n| swarm.announce(NOW, lease(1, n, Held::Complete), None).unwrap());
    assert_eq!(swarm.announce(NOW, lease(1, 3, Held::Complete), None), Err(Full::Account));
    (0..3).for_each(|index| announce_v1(&swarm, NOW, &chunk(2, 9, 10, index)).unwrap());
    assert_eq!(announce_v1(&swarm, NOW, &chunk(2, 9, 10, 3)), Err(Full::Account));
    swarm.leave(NOW, peer(2), None);
    announce_v1(&swarm, NOW, &chunk(2, 9, 10, 3)).expect("room again");
}

/// A lease on one of many manifests of one file.
fn variant(peer_number: u8, manifest: usize) -> Lease {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&manifest.to_be_bytes());
    Lease { manifest_id: ManifestId(id), ..lease(peer_number, 1, Held::Complete) }
}

#[test]
fn one_account_cannot_make_a_plan_arbitrarily_long() {
    let swarm = Swarm::new(Limits::default());
    let announce = |n, manifest| swarm.announce(NOW, variant(n, manifest), None);
    let known = || swarm.view(NOW, file(1), None).unwrap().manifests.len();
    (0..MANIFESTS_PER_PEER_MAX).for_each(|manifest| announce(1, manifest).unwrap());
    assert_eq!(announce(1, 99), Err(Full::Account));
    assert_eq!(swarm.admits(&variant(1, 99)), Err(Full::Account));
    announce(1, 0).expect("a renewal is no more");
    let meta = variant(1, 0).meta.unwrap();
    (0..500).for_each(|manifest| swarm.note_manifest(file(1), variant(1, manifest).manifest_id, &meta, "f"));
    assert_eq!(known(), MANIFESTS_MAX, "that nobody holds");
    for round in 0..100 {
        announce(2, 1_000 + round).expect("what is held is known all the same");
        assert_eq!(known(), MANIFESTS_MAX + 1);
        swarm.leave(NOW, peer(2), None);
    }
    assert_eq!(known(), MANIFESTS_MAX, "and forgotten afterwards");
    swarm.leave(NOW, peer(1), None);
    swarm.expire(at(11));
    assert_empty(&swarm);
}

#[test]
fn memory_is_bounded_by_bytes_too() {
    let swarm = Swarm::new(Limits { bytes_max: 2 * RECORD_BYTES, ..Limits::default() });
    swarm.announce(NOW, lease(1, 1, Held::Complete), None).unwrap();
    assert_eq!(swarm.announce(NOW, lease(2, 1, some(&[1])), None), Err(Full::Tracker));
    swarm.announce(NOW, lease(2, 1, Held::Complete), None).unwrap();
}

#[test]
fn only_the_last_unfinished_announces_of_a_file_are_kept() {
    let swarm = Swarm::new(Limits::default());
    (2..20).for_each(|total| announce_v1(&swarm, NOW, &chunk(1, 1, total, 0)).unwrap());
    assert_eq!(swarm.usage().0, STAGINGS_MAX);
    swarm.leave(NOW, peer(1), None);
    assert_empty(&swarm);
}

#[test]
fn a_failed_seal_leaves_the_file_unlisted() {
    let swarm = Swarm::new(Limits::default());
    announce_v1(&swarm, NOW, &chunk(1, 1, 2, 0)).unwrap();
    let last = chunk(1, 1, 2, 1);
    assert!(matches!(swarm.v1_next(NOW, &last, &address()), Ok(V1Step::Seal(_))));
    assert_eq!(listed(&swarm, NOW, 1), 0, "the store did not take it");
    announce_v1(&swarm, NOW, &last).unwrap();
    assert_eq!(listed(&swarm, NOW, 1), 1);
}

#[test]
fn a_renewal_is_written_only_when_the_stored_one_has_become_old() {
    let swarm = Swarm::new(Limits::default());
    let same = lease(1, 1, Held::Complete);
    assert!(swarm.must_be_stored(NOW, &same));
    swarm.announce(NOW, same.clone(), Some(at(5))).unwrap();
    assert!(!swarm.must_be_stored(at(2), &same));
    assert!(swarm.must_be_stored(at(2), &lease(1, 1, some(&[1]))));
    assert!(swarm.must_be_stored(at(3), &same));
}

#[test]
fn a_fresh_listing_is_not_written_again() {
    let swarm = Swarm::new(Limits::default());
    (0..2).for_each(|index| announce_v1(&swarm, NOW, &chunk(1, 1, 2, index)).unwrap());
    assert_eq!(swarm.v1_next(at(9), &chunk(1, 1, 2, 0), &address()), Ok(V1Step::Unchanged));
    assert!(matches!(swarm.v1_next(at(11), &chunk(1, 1, 2, 0), &address()), Ok(V1Step::Seal(_))));
}

#[test]
fn equal_listings_share_their_hashes() {
    let swarm = Swarm::new(Limits::default());
    for n in 1..=2 {
        (0..2).for_each(|index| announce_v1(&swarm, NOW, &chunk(n, 1, 2, index)).unwrap());
    }
    let view = swarm.view(NOW, file(1), None).unwrap();
    assert!(Arc::ptr_eq(&view.listings[0].hashes, &view.listings[1].hashes));
}
