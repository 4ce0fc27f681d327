//! What of the swarm survives: leases, version 1 chunks and listings.

use peernet_tracker::store::{Durability, Survivor, V1Listing, Write, Written};

use super::support::{NOW, chunk, file, later, lease, listing, on_both, peer, survivors, write};

#[test]
fn a_lease_is_replaced_and_the_last_of_a_batch_wins() {
    on_both(|name, store| {
        write(&*store, &[Write::PutLease(lease(1, 1, &[0], later(10)))]);
        let (newer, newest) = (lease(1, 1, &[0, 1], later(20)), lease(1, 1, &[0, 1, 9], later(30)));
        let other = lease(2, 1, &[], later(5));
        let batch = [newer, other.clone(), newest.clone()].map(Write::PutLease);
        assert_eq!(write(&*store, &batch), vec![Written::Done; 3], "{name}");
        assert_eq!(survivors(&*store, NOW), [Survivor::Lease(newest), Survivor::Lease(other)], "{name}");
    });
}

#[test]
fn what_has_expired_neither_survives_nor_stays() {
    on_both(|name, store| {
        let live = [
            Write::PutLease(lease(2, 1, &[1], later(1))),
            Write::SealV1(listing(2, 2, later(1))),
            Write::StageV1(chunk(2, 3, 0, later(1))),
        ];
        let dead = [
            Write::PutLease(lease(1, 1, &[1], NOW)),
            Write::SealV1(listing(1, 2, NOW)),
            Write::StageV1(chunk(1, 3, 0, later(-1))),
        ];
        write(&*store, &[live, dead].concat());
        let kept = survivors(&*store, NOW);
        assert_eq!(kept.len(), 3, "{name}: {kept:?}");
        assert_eq!(store.sweep(NOW).unwrap(), 3, "{name}");
        assert_eq!(store.sweep(NOW).unwrap(), 0, "{name}");
        assert_eq!(survivors(&*store, later(-9)), kept, "{name}");
    });
}

#[test]
fn leaving_ends_some_files_or_all_and_only_ones_own() {
    on_both(|name, store| {
        let puts = |n: u8| {
            [1, 2].into_iter().flat_map(move |of| {
                let v1 = of + 10;
                [Write::PutLease(lease(n, of, &[1], later(9))), Write::SealV1(listing(n, v1, later(9)))]
                    .into_iter()
                    .chain([Write::StageV1(chunk(n, v1 + 10, 3, later(9)))])
            })
        };
        write(&*store, &puts(1).chain(puts(2)).collect::<Vec<_>>());
        let some = vec![file(1), file(11), file(21), file(99)];
        write(&*store, &[Write::Leave { peer: peer(1), files: Some(some) }]);
        let of = |n: u8| {
            survivors(&*store, NOW)
                .iter()
                .map(|survivor| match survivor {
                    Survivor::Lease(row) => (row.peer, row.file_hash),
                    Survivor::Listing(row) => (row.peer, row.file_hash),
                    Survivor::Staged(row) => (row.peer, row.file_hash),
                })
                .filter(|(owner, _)| *owner == peer(n))
                .map(|(_, of)| of)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(1), [file(2), file(12), file(22)], "{name}");
        write(&*store, &[Write::Leave { peer: peer(1), files: Some(Vec::new()) }]);
        assert_eq!(of(1).len(), 3, "{name}: no files are not all files");
        write(&*store, &[Write::Leave { peer: peer(1), files: None }]);
        assert_eq!(of(1), [], "{name}");
        assert_eq!(of(2).len(), 6, "{name}");
    });
}

#[test]
fn the_order_within_a_batch_counts() {
    on_both(|name, store| {
        let (old, new) = (lease(1, 1, &[1], later(5)), lease(1, 1, &[2], later(9)));
        let leave = Write::Leave { peer: peer(1), files: None };
        let batch = [
            Write::PutLease(old),
            Write::StageV1(chunk(1, 2, 0, later(9))),
            leave.clone(),
            Write::PutLease(new.clone()),
            Write::StageV1(chunk(1, 3, 0, later(9))),
            Write::SealV1(listing(1, 3, later(9))),
            Write::StageV1(chunk(1, 4, 1, later(9))),
        ];
        write(&*store, &batch);
        let wanted = [
            Survivor::Lease(new),
            Survivor::Listing(listing(1, 3, later(9))),
            Survivor::Staged(chunk(1, 4, 1, later(9))),
        ];
        assert_eq!(survivors(&*store, NOW), wanted, "{name}");
        write(&*store, &[Write::PutLease(lease(1, 5, &[], later(9))), leave]);
        assert_eq!(survivors(&*store, NOW), [], "{name}");
    });
}

#[test]
fn staged_chunks_are_kept_once_and_sealing_takes_them_away() {
    on_both(|name, store| {
        let stage = |at: u32| Write::StageV1(chunk(1, 1, at, later(9)));
        write(&*store, &[stage(0), stage(1), stage(0)]);
        write(&*store, &[stage(1), Write::StageV1(chunk(2, 1, 0, later(9)))]);
        assert_eq!(survivors(&*store, NOW).len(), 3, "{name}");
        write(&*store, &[stage(2), Write::SealV1(listing(1, 1, later(9)))]);
        let renewed = V1Listing { expires_at: later(50), created_at: later(7), ..listing(1, 1, later(9)) };
        write(&*store, &[Write::SealV1(renewed.clone())]);
        let wanted =
            [Survivor::Listing(V1Listing { created_at: NOW, ..renewed }), Survivor::Staged(chunk(2, 1, 0, later(9)))];
        assert_eq!(survivors(&*store, NOW), wanted, "{name}: renewed, first announced at its old time");
    });
}

#[test]
fn more_survivors_than_one_page_all_come_back_once() {
    on_both(|name, store| {
        let lease = |n: u32| {
            let mut row = lease(1, 1, &[n % 10], later(9));
            row.peer.0[..4].copy_from_slice(&n.to_be_bytes());
            Write::PutLease(row)
        };
        let stage = |n: u32| {
            let mut row = chunk(1, 1, n % 16, later(9));
            row.file_hash.0[..4].copy_from_slice(&(n / 16).to_be_bytes());
            Write::StageV1(row)
        };
        let batch: Vec<Write> = (0..4_001).map(lease).chain((0..2_000).map(stage)).collect();
        store.write(NOW, &batch, Durability::Relaxed).unwrap();
        let found = survivors(&*store, NOW);
        assert_eq!(found.len(), 6_001, "{name}");
        assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "{name}: one came twice");
    });
}
