//! Version 1's lookup: which group of holders is the answer, and whom it names.

use peernet_engine::random::Rng;

use super::*;
use crate::domain::swarm::lookup::{Group, Hashes, choose};
use crate::domain::swarm::sources::{V1_CHUNK_SIZE, offers};

const CALLER: u8 = 200;

/// The hashes of the chunks that `chunk` announces of a file of `total` chunks.
fn hashes(total: u32) -> Vec<ChunkHash> {
    (0..total).map(|index| ChunkHash([index as u8; 32])).collect()
}

/// A lease on file 1 of nine chunks, whose manifest is number `manifest`.
fn holder(n: u8, manifest: u8, held: Held) -> Lease {
    let digest = HashesDigest([manifest; 32]);
    let meta = ManifestMeta { size: (9 << 20) - 5, chunk_size: V1_CHUNK_SIZE, chunks: 9, digest };
    Lease { manifest_id: ManifestId([manifest; 32]), meta: Some(meta), ..lease(n, 1, held) }
}

fn swarm_of(leases: impl IntoIterator<Item = Lease>) -> Swarm {
    let swarm = Swarm::new(Limits::default());
    leases.into_iter().for_each(|lease| swarm.announce(NOW, lease, None).expect("there is room"));
    swarm
}

fn chosen(swarm: &Swarm, caller: u8) -> Option<Group> {
    choose(&swarm.view(NOW, file(1), None)?, peer(caller))
}

/// The manifest of the group for `caller`, and its holders in order.
fn named(swarm: &Swarm, caller: u8) -> Option<(u8, Vec<u8>)> {
    let group = chosen(swarm, caller)?;
    let Hashes::Manifest(manifest) = group.hashes else { panic!("no listing was announced") };
    let mut peers: Vec<u8> = group.offers.iter().map(|offer| offer.peer.id.0[0]).collect();
    peers.sort_unstable();
    Some((manifest.0[0], peers))
}

#[test]
fn the_group_with_most_holders_wins_and_then_the_lower_digest() {
    let whole = |n, manifest| holder(n, manifest, Held::Complete);
    for (leases, expected) in [
        (vec![], None),
        (vec![whole(1, 5)], Some((5, vec![1]))),
        (vec![whole(1, 5), whole(2, 4)], Some((4, vec![2]))),
        (vec![whole(1, 4), whole(2, 5), whole(3, 5)], Some((5, vec![2, 3]))),
        (vec![whole(1, 4), whole(CALLER, 5), whole(3, 5)], Some((4, vec![1]))),
        (vec![whole(CALLER, 5)], None),
    ] {
        let text = format!("{leases:?}");
        assert_eq!(named(&swarm_of(leases), CALLER), expected, "{text}");
    }
}

#[test]
fn only_holders_that_have_every_chunk_together_are_a_group() {
    let first: Vec<u32> = (0..5).collect();
    let second: Vec<u32> = (5..9).collect();
    let gap: Vec<u32> = (6..9).collect();
    let of = |chunks: &[&[u32]]| {
        let leases = chunks.iter().enumerate().map(|(n, chunks)| holder(n as u8, 5, some(chunks)));
        named(&swarm_of(leases), CALLER).map(|(_, peers)| peers)
    };
    assert_eq!(of(&[&first, &second]), Some(vec![0, 1]));
    assert_eq!(of(&[&first, &gap]), None);
    assert_eq!(of(&[&first]), None);
    assert_eq!(of(&[&[], &first, &second]), Some(vec![1, 2]), "a holder of nothing is not named");
}

#[test]
fn another_chunk_size_or_unknown_sizes_are_no_answer() {
    let mut other = holder(1, 5, Held::Complete);
    other.meta.as_mut().expect("has sizes").chunk_size = 2 * V1_CHUNK_SIZE;
    assert_eq!(named(&swarm_of([other]), CALLER), None);
    let unknown = Lease { meta: None, ..holder(1, 5, Held::Complete) };
    assert_eq!(named(&swarm_of([unknown]), CALLER), None);
}

#[test]
fn a_listing_and_a_manifest_of_equal_chunks_are_one_group() {
    let swarm = Swarm::new(Limits::default());
    let announce = |n| (0..9).for_each(|index| announce_v1(&swarm, NOW, &chunk(n, 1, 9, index)).expect("has room"));
    announce(1);
    announce(2);
    let listed = chosen(&swarm, CALLER).expect("a group");
    assert!(matches!(&listed.hashes, Hashes::Listed(found) if **found == *hashes(9)));
    assert_eq!((listed.chunks, listed.size), (9, 9 << 20), "as if the last chunk were full");
    let digest = HashesDigest::of(&hashes(9));
    let same = |n, held| {
        let mut lease = holder(n, 5, held);
        lease.meta.as_mut().expect("has sizes").digest = digest;
        lease
    };
    swarm.announce(NOW, same(2, some(&[1])), None).expect("has room");
    swarm.announce(NOW, same(3, Held::Complete), None).expect("has room");
    let group = chosen(&swarm, CALLER).expect("a group");
    assert_eq!(group.size, (9 << 20) - 5, "a manifest states the size");
    let mut found: Vec<(u8, bool)> = group.offers.iter().map(|offer| (offer.peer.id.0[0], offer.v1)).collect();
    found.sort_unstable();
    assert_eq!(found, [(1, true), (2, true), (3, false)], "peer 2 is named once, by its complete listing");
    let view = swarm.view(NOW, file(1), None).expect("a file");
    let manifest = &view.manifests[0];
    let plan = offers(&view, manifest, manifest.meta.as_ref().expect("is known"));
    let mut planned: Vec<(u8, bool)> = plan.iter().map(|offer| (offer.peer.id.0[0], offer.v1)).collect();
    planned.sort_unstable();
    assert_eq!(planned, [(1, true), (2, false), (3, false)], "a plan of the manifest names each peer once");
}

#[test]
fn every_caller_gets_the_same_group_whatever_the_order() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut leases: Vec<Lease> = (0..12).map(|n| holder(n, 1 + rng.below(4) as u8, Held::Complete)).collect();
        let expected = named(&swarm_of(leases.clone()), CALLER);
        rng.shuffle(&mut leases);
        assert_eq!(named(&swarm_of(leases), CALLER), expected, "seed {seed}");
    }
}

#[test]
fn a_view_keeps_only_the_holders_that_may_be_named() {
    let swarm = swarm_of([holder(1, 5, Held::Complete), holder(2, 5, Held::Complete)]);
    announce_v1(&swarm, NOW, &chunk(3, 1, 1, 0)).expect("has room");
    let view = || swarm.view(NOW, file(1), None).expect("a file");
    let count = |view: &FileView| (view.manifests[0].holders.len(), view.listings.len());
    for (kept, expected) in [(&[1, 3][..], (1, 1)), (&[3], (0, 1)), (&[1, 2], (2, 0)), (&[], (0, 0))] {
        let mut view = view();
        view.retain(|peer| kept.contains(&peer.0[0]));
        assert_eq!(count(&view), expected, "{kept:?}");
        assert_eq!(view.names_a_source(), !kept.is_empty(), "{kept:?}");
    }
    let encrypted = Location { tls: true, ..Location::plain("a:1") };
    let tls = Lease { location: Arc::new(encrypted), ..holder(2, 5, Held::Complete) };
    swarm.announce(NOW, tls, None).expect("has room");
    let mut plaintext = view();
    plaintext.retain_plaintext();
    assert_eq!(count(&plaintext), (1, 1), "the holder that accepts TLS only is left out");
}
