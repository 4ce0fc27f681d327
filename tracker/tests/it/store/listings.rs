//! Version 1 listings.

use peernet_tracker::store::{Durability, V1Listing, Write};

use super::support::{NOW, file, later, listing, listings, on_both, peer, write};

#[test]
fn expired_listings_are_neither_read_nor_kept() {
    on_both(|name, store| {
        write(&*store, &[Write::SealV1(listing(2, 2, later(1))), Write::SealV1(listing(1, 2, NOW))]);
        let kept = listings(&*store, NOW);
        assert_eq!(kept, [listing(2, 2, later(1))], "{name}");
        assert_eq!(store.prune_listings(NOW).unwrap(), 1, "{name}");
        assert_eq!(store.prune_listings(NOW).unwrap(), 0, "{name}");
        assert_eq!(listings(&*store, later(-9)), kept, "{name}");
    });
}

#[test]
fn leaving_ends_only_the_peer_s_own_listings() {
    on_both(|name, store| {
        let puts = |n: u8| [1, 2, 3].map(|of| Write::SealV1(listing(n, of, later(9))));
        write(&*store, &[puts(1), puts(2)].concat());
        let of = |n: u8| {
            let mine = listings(&*store, NOW).into_iter().filter(|row| row.peer == peer(n));
            mine.map(|row| row.file_hash).collect::<Vec<_>>()
        };
        write(&*store, &[Write::Leave { peer: peer(1), files: Some(vec![file(1), file(99)]) }]);
        assert_eq!(of(1), [file(2), file(3)], "{name}");
        write(&*store, &[Write::Leave { peer: peer(1), files: Some(Vec::new()) }]);
        assert_eq!(of(1).len(), 2, "{name}: no files are not all files");
        write(&*store, &[Write::Leave { peer: peer(1), files: None }]);
        assert_eq!((of(1).len(), of(2).len()), (0, 3), "{name}");
    });
}

#[test]
fn the_last_write_of_a_batch_wins() {
    on_both(|name, store| {
        let leave = Write::Leave { peer: peer(1), files: None };
        let seal = |until| Write::SealV1(listing(1, 3, until));
        write(&*store, &[seal(later(5)), leave.clone(), seal(later(7)), seal(later(9))]);
        assert_eq!(listings(&*store, NOW), [listing(1, 3, later(9))], "{name}");
        write(&*store, &[seal(later(9)), leave]);
        assert_eq!(listings(&*store, NOW), [], "{name}");
    });
}

#[test]
fn a_renewed_listing_keeps_its_first_time() {
    on_both(|name, store| {
        write(&*store, &[Write::SealV1(listing(1, 1, later(9)))]);
        let renewed = V1Listing { expires_at: later(50), created_at: later(7), ..listing(1, 1, later(9)) };
        write(&*store, &[Write::SealV1(renewed.clone())]);
        assert_eq!(listings(&*store, NOW), [V1Listing { created_at: NOW, ..renewed }], "{name}");
    });
}

#[test]
fn listings_of_several_pages_are_read_once() {
    on_both(|name, store| {
        let seal = |n: u32| {
            let mut row = listing(1, 1, later(9));
            row.peer.0[..4].copy_from_slice(&n.to_be_bytes());
            Write::SealV1(row)
        };
        store.write(NOW, &(0..4_001).map(seal).collect::<Vec<_>>(), Durability::Relaxed).unwrap();
        let found = listings(&*store, NOW);
        assert_eq!(found.len(), 4_001, "{name}");
        assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "{name}: one came twice");
    });
}
