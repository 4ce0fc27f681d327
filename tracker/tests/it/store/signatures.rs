//! Signatures of manifests.

use std::sync::Arc;

use peernet_engine::ids::{ManifestId, PeerId};
use peernet_protos::limits::{SIGNATURES_COUNTED_MAX, SIGNATURES_TOLD_MAX};
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::store::accounts::AccountWrite;
use peernet_tracker::store::signatures::{SIGNATURE_ROW_BYTES, Signer, StoredSignature};
use peernet_tracker::store::sqlite::SqliteStore;
use peernet_tracker::store::{Account, Store, Write, Written};

use super::support::{NOW, account, later, on_both, peer, postgres, signature, write};

const ID: ManifestId = ManifestId([1; 32]);
const OTHER: ManifestId = ManifestId([2; 32]);

/// Creates the accounts 1 to `count`.
fn accounts(store: &dyn Store, count: u8) {
    let batch: Vec<Write> = (1..=count).map(|n| Write::create_account(account(n, None))).collect();
    write(store, &batch);
}

fn put(store: &dyn Store, signatures: &[StoredSignature]) {
    let batch: Vec<Write> = signatures.iter().cloned().map(Write::PutSignature).collect();
    assert_eq!(write(store, &batch), vec![Written::Done; batch.len()]);
}

fn listed(store: &dyn Store, id: ManifestId) -> Vec<StoredSignature> {
    store.signatures(id).unwrap()
}

fn counted(store: &dyn Store, id: ManifestId) -> u64 {
    store.signature_count(id).unwrap()
}

fn usage(store: &dyn Store, of: u8) -> u64 {
    store.metadata_bytes(peer(of)).unwrap()
}

#[test]
fn signatures_of_a_manifest_are_read_oldest_first() {
    on_both(|name, store| {
        accounts(&*store, 3);
        assert!(listed(&*store, ID).is_empty() && counted(&*store, ID) == 0, "{name}");
        let first = signature(ID, 3, 7, NOW);
        let second = signature(ID, 1, 8, later(5));
        let third = signature(ID, 2, 9, later(5));
        let of_other = signature(OTHER, 2, 4, NOW);
        put(&*store, &[third.clone(), of_other.clone(), second.clone()]);
        put(&*store, std::slice::from_ref(&first));
        assert_eq!(listed(&*store, ID), [first, second, third.clone()], "{name}: at one time, by account");
        assert_eq!(listed(&*store, OTHER), [of_other], "{name}");
        assert_eq!((counted(&*store, ID), counted(&*store, OTHER)), (3, 1), "{name}");

        let by = |id, signer| store.signature(id, signer).unwrap();
        assert_eq!(by(ID, Signer::Account(peer(2))), Some(third.clone()), "{name}");
        assert_eq!(by(OTHER, Signer::Account(peer(1))), None, "{name}");
        assert_eq!(by(ID, Signer::Account(peer(9))), None, "{name}: no such account");
        assert_eq!(by(ID, Signer::Key(third.public_key)), Some(third.clone()), "{name}");
        assert_eq!(by(OTHER, Signer::Key(third.public_key)), None, "{name}");
        let with_its_key = StoredSignature { public_key: third.public_key, ..signature(ID, 1, 8, later(9)) };
        put(&*store, &[with_its_key]);
        let oldest = store.signature(ID, Signer::Key(third.public_key)).unwrap();
        assert_eq!(oldest.map(|found| found.peer), Some(peer(1)), "{name}: its time is that of its account's first");
    });
}

#[test]
fn a_new_signature_keeps_the_time_of_the_first() {
    on_both(|name, store| {
        accounts(&*store, 2);
        let signed = |content, at| signature(ID, 1, content, later(at));
        put(&*store, &[signed(1, 0), signature(ID, 2, 1, later(1))]);
        put(&*store, &[signed(2, 9)]);
        assert_eq!(listed(&*store, ID), [signed(2, 0), signature(ID, 2, 1, later(1))], "{name}: and its turn");
        put(&*store, &[signed(2, 10)]);
        put(&*store, &[signed(3, 11), signed(4, 12)]);
        assert_eq!(listed(&*store, ID)[0], signed(4, 0), "{name}: of one batch the last counts");
        let anew = |content, at| signature(OTHER, 1, content, later(at));
        put(&*store, &[anew(5, 20), anew(6, 21)]);
        assert_eq!(listed(&*store, OTHER), [anew(6, 20)], "{name}: new and replaced in one batch");
        assert_eq!(usage(&*store, 1), 2 * SIGNATURE_ROW_BYTES, "{name}: what is replaced counts once");
        assert_eq!(usage(&*store, 2), SIGNATURE_ROW_BYTES, "{name}");
    });
}

#[test]
fn only_the_oldest_signatures_are_read_and_counted() {
    on_both(|name, store| {
        let id_of = |n: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            PeerId(id)
        };
        // More rows than one statement takes.
        let count = SIGNATURES_COUNTED_MAX + 5;
        let accounts: Vec<Write> =
            (0..count).map(|n| Write::create_account(Account { id: id_of(n), ..account(1, None) })).collect();
        write(&*store, &accounts);
        let signed = |n: usize| StoredSignature { peer: id_of(n), ..signature(ID, 0, 1, later((count - n) as i64)) };
        put(&*store, &(0..12).map(signed).collect::<Vec<_>>());
        assert_eq!((listed(&*store, ID).len(), counted(&*store, ID)), (SIGNATURES_TOLD_MAX, 12), "{name}");
        put(&*store, &(0..count).map(signed).collect::<Vec<_>>());
        let oldest: Vec<StoredSignature> = (0..SIGNATURES_TOLD_MAX).map(|n| signed(count - 1 - n)).collect();
        assert_eq!(listed(&*store, ID), oldest, "{name}");
        assert_eq!(counted(&*store, ID), SIGNATURES_COUNTED_MAX as u64, "{name}");
    });
}

#[test]
fn signatures_of_suspended_accounts_are_hidden() {
    on_both(|name, store| {
        accounts(&*store, 2);
        put(&*store, &[signature(ID, 1, 1, NOW), signature(ID, 2, 1, later(1))]);
        write(&*store, &[Write::Account(AccountWrite::Suspend { id: peer(1), reason: "lies".into() })]);
        assert_eq!(listed(&*store, ID), [signature(ID, 2, 1, later(1))], "{name}");
        assert_eq!(counted(&*store, ID), 1, "{name}");
        assert_eq!(store.signature(ID, Signer::Account(peer(1))).unwrap(), None, "{name}");
        write(&*store, &[Write::Account(AccountWrite::Resume { id: peer(1) })]);
        assert_eq!((listed(&*store, ID).len(), counted(&*store, ID)), (2, 2), "{name}");
    });
}

fn check_reopened(name: &str, open: impl Fn() -> Arc<dyn Store>) {
    let store = open();
    accounts(&*store, 1);
    put(&*store, &[signature(ID, 1, 1, NOW)]);
    drop(store);
    let store = open();
    assert_eq!(listed(&*store, ID), [signature(ID, 1, 1, NOW)], "{name}");
    put(&*store, &[signature(ID, 1, 2, later(9))]);
    assert_eq!(listed(&*store, ID), [signature(ID, 1, 2, NOW)], "{name}: its time too");
}

#[test]
fn signatures_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let url = fresh_database();
    check_reopened("sqlite", || {
        let store = SqliteStore::open(&folder.path().join("tracker.db")).unwrap();
        store.migrate(NOW).unwrap();
        store
    });
    check_reopened("postgres", || postgres(&url));
}
