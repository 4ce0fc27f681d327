//! Suspensions, invites, the audit log and the count of metadata.

use std::sync::atomic::{AtomicUsize, Ordering};

use peernet_tracker::store::accounts::{AccountQuery, AccountWrite, Suspension};
use peernet_tracker::store::audit_log::{Action, Actor, AuditEntry, AuditQuery};
use peernet_tracker::store::invites::Invite;
use peernet_tracker::store::{Durability, Store, Write, Written};

use super::support::{HOUR_MS, NOW, account, later, manifest, on_both, peer, write};

fn create(store: &dyn Store, account: Write) -> Written {
    write(store, &[account]).pop().unwrap()
}

fn one(store: &dyn Store, change: AccountWrite) -> Written {
    write(store, &[Write::Account(change)]).pop().unwrap()
}

/// Returns action, actor, first byte of the account and detail of every row, oldest first.
fn log(store: &dyn Store) -> Vec<(String, String, Option<u8>, String)> {
    let mut rows = store.audit_log(&AuditQuery { account: None, limit: 1_000 }).unwrap();
    assert!(rows.is_sorted_by(|a, b| a.id > b.id), "newest first");
    assert!(rows.iter().all(|row| row.at == NOW));
    rows.reverse();
    rows.into_iter().map(|row| (row.action, row.actor, row.account.map(|id| id.0[0]), row.detail)).collect()
}

fn actions(store: &dyn Store) -> Vec<String> {
    log(store).into_iter().map(|(action, ..)| action).collect()
}

fn invite(n: u8, uses: u32) -> Invite {
    Invite {
        code_hash: [n; 32],
        uses,
        uses_left: uses,
        note: format!("note {n}"),
        created_at: later(i64::from(n)),
        expires_at: later(HOUR_MS),
        revoked_at: None,
    }
}

fn invited(n: u8, code: u8) -> Write {
    Write::CreateAccount { account: account(n, Some(&format!("h:{n}"))), invite: Some([code; 32]) }
}

#[test]
fn suspensions_and_their_end_are_logged() {
    on_both(|name, store| {
        write(&*store, &[Write::create_account(account(1, None)), Write::create_account(account(2, None))]);
        let suspend = |n| AccountWrite::Suspend { id: peer(n), reason: "floods\0 it's".into() };
        assert_eq!(one(&*store, suspend(1)), Written::Done, "{name}");
        assert_eq!(one(&*store, suspend(1)), Written::Unchanged, "{name}");
        assert_eq!(one(&*store, suspend(9)), Written::Stale, "{name}");
        assert_eq!(store.suspended().unwrap(), [peer(1)], "{name}");
        let entry = store.account_entry(peer(1)).unwrap().unwrap();
        let suspension = Suspension { at: NOW, reason: "floods\u{fffd} it's".into() };
        assert_eq!((entry.account, entry.suspended), (account(1, None), Some(suspension)), "{name}");
        assert_eq!(one(&*store, AccountWrite::Resume { id: peer(1) }), Written::Done, "{name}");
        assert_eq!(one(&*store, AccountWrite::Resume { id: peer(1) }), Written::Unchanged, "{name}");
        assert_eq!(one(&*store, AccountWrite::Resume { id: peer(9) }), Written::Stale, "{name}");
        assert!(store.suspended().unwrap().is_empty(), "{name}");
        assert_eq!(actions(&*store), ["registered", "registered", "suspended", "resumed"], "{name}");
        let row = log(&*store)[2].clone();
        assert_eq!(row, ("suspended".into(), "operator".into(), Some(1), "floods\u{fffd} it's".into()), "{name}");
    });
}

#[test]
fn revocations_and_password_changes_are_logged() {
    on_both(|name, store| {
        write(&*store, &[Write::create_account(account(1, None))]);
        assert_eq!(one(&*store, AccountWrite::Revoke { id: peer(1) }), Written::Done, "{name}");
        assert_eq!(one(&*store, AccountWrite::Revoke { id: peer(9) }), Written::Stale, "{name}");
        assert_eq!(store.account(peer(1)).unwrap().unwrap().generation, 1, "{name}");
        let password =
            |generation| Write::SetPassword { id: peer(1), generation, password_hash: "new".into(), device: None };
        assert_eq!(write(&*store, &[password(0), password(1)]), [Written::Stale, Written::Done], "{name}");
        assert_eq!(actions(&*store), ["registered", "revoked", "password_changed"], "{name}");
    });
}

#[test]
fn an_invite_is_used_up_by_created_accounts_only() {
    on_both(|name, store| {
        assert_eq!(one(&*store, AccountWrite::PutInvite(invite(1, 2))), Written::Done, "{name}");
        assert_eq!(one(&*store, AccountWrite::PutInvite(invite(1, 9))), Written::Unchanged, "{name}");
        assert_eq!(store.invite(&[1; 32]).unwrap(), Some(invite(1, 2)), "{name}");
        assert_eq!(store.invite(&[2; 32]).unwrap(), None, "{name}");

        assert_eq!(create(&*store, invited(1, 1)), Written::Done, "{name}");
        assert_eq!(create(&*store, invited(1, 1)), Written::Unchanged, "{name}: again is no second use");
        let taken = Write::CreateAccount { account: account(7, Some("h:1")), invite: Some([1; 32]) };
        assert!(matches!(create(&*store, taken), Written::AddressTaken(owner) if owner.id == peer(1)), "{name}");
        assert_eq!(store.invite(&[1; 32]).unwrap().unwrap().uses_left, 1, "{name}");
        assert_eq!(create(&*store, invited(2, 1)), Written::Done, "{name}");
        assert_eq!(create(&*store, invited(3, 1)), Written::InviteRefused, "{name}: used up");
        assert_eq!(create(&*store, invited(3, 9)), Written::InviteRefused, "{name}: unknown");
        assert_eq!(store.account(peer(3)).unwrap(), None, "{name}");
        assert_eq!(store.ledger(peer(2)).unwrap().unwrap().balance_mt, 20_000, "{name}: with its grant");
        let id = invite(1, 2).id();
        let used = log(&*store).into_iter().filter(|row| row.0 == "invite_used").collect::<Vec<_>>();
        assert_eq!(used.len(), 2, "{name}");
        assert_eq!(used[0], ("invite_used".into(), "client".into(), Some(1), id), "{name}");
        assert_eq!(store.audit().unwrap(), [], "{name}");
    });
}

#[test]
fn an_expired_or_revoked_invite_is_refused() {
    on_both(|name, store| {
        write(&*store, &[1, 2].map(|n| Write::Account(AccountWrite::PutInvite(invite(n, 5)))));
        assert_eq!(one(&*store, AccountWrite::RevokeInvite { code_hash: [1; 32] }), Written::Done, "{name}");
        assert_eq!(one(&*store, AccountWrite::RevokeInvite { code_hash: [1; 32] }), Written::Unchanged, "{name}");
        assert_eq!(one(&*store, AccountWrite::RevokeInvite { code_hash: [9; 32] }), Written::Stale, "{name}");
        assert_eq!(create(&*store, invited(1, 1)), Written::InviteRefused, "{name}");
        let too_late = store.write(later(HOUR_MS), &[invited(1, 2)], Durability::Synced).unwrap();
        assert_eq!(too_late, [Written::InviteRefused], "{name}");
        assert_eq!(create(&*store, invited(1, 2)), Written::Done, "{name}");
        let listed: Vec<u8> = store.invites().unwrap().iter().map(|invite| invite.code_hash[0]).collect();
        assert_eq!(listed, [2, 1], "{name}: newest first");
        assert!(!store.invite(&[1; 32]).unwrap().unwrap().is_good(NOW), "{name}");
        assert!(!format!("{:?}", log(&*store)).contains("010101010101010101"), "{name}: no whole hash in the log");
    });
}

#[test]
fn concurrent_uses_of_an_invite_do_not_exceed_it() {
    on_both(|name, store| {
        one(&*store, AccountWrite::PutInvite(invite(1, 3)));
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 1..=8 {
                let store = &store;
                let made = &made;
                scope.spawn(move || {
                    if create(&**store, invited(n, 1)) == Written::Done {
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 3, "{name}");
        assert_eq!(store.invite(&[1; 32]).unwrap().unwrap().uses_left, 0, "{name}");
    });
}

#[test]
fn accounts_are_listed_page_by_page_and_by_address() {
    on_both(|name, store| {
        let batch: Vec<Write> =
            (1..=5).map(|n| Write::create_account(account(n, Some(&format!("host{n}:1"))))).collect();
        write(&*store, &batch);
        write(&*store, &[Write::create_account(account(6, None)), Write::create_account(account(7, Some("a_b%c:1")))]);
        let list = |matching: Option<&str>, after, limit| -> Vec<u8> {
            let query = AccountQuery { matching: matching.map(str::to_owned), after, limit };
            let found = store.accounts(&query).unwrap();
            found.iter().map(|entry| entry.account.id.0[0]).collect()
        };
        assert_eq!(list(None, None, 3), [1, 2, 3], "{name}");
        assert_eq!(list(None, Some(peer(3)), 100), [4, 5, 6, 7], "{name}");
        assert_eq!(list(Some("HOST"), None, 100), [1, 2, 3, 4, 5], "{name}");
        assert_eq!(list(Some("_"), None, 100), [7], "{name}: taken literally");
        assert_eq!(list(Some("%"), None, 100), [7], "{name}");
        assert_eq!(list(Some("nobody"), None, 100), [0; 0], "{name}");
    });
}

#[test]
fn metadata_counts_for_the_first_account() {
    on_both(|name, store| {
        let put = |file_number, chunks, by| {
            let stored = manifest(file_number, chunks, "f", NOW);
            Write::PutManifest(peernet_tracker::store::StoredManifest { announced_by: peer(by), ..stored })
        };
        write(&*store, &[put(1, 4, 1), put(1, 4, 1), put(1, 4, 2), put(2, 2, 2)]);
        assert_eq!(store.metadata_bytes(peer(1)).unwrap(), 4 * 32 + 256, "{name}");
        assert_eq!(store.metadata_bytes(peer(2)).unwrap(), 2 * 32 + 256, "{name}");
        write(&*store, &[put(3, 1, 1), put(2, 2, 1)]);
        assert_eq!(store.metadata_bytes(peer(1)).unwrap(), 5 * 32 + 512, "{name}");
        assert_eq!(store.metadata_bytes(peer(9)).unwrap(), 0, "{name}");
    });
}

#[test]
fn the_audit_log_is_filtered_and_pruned() {
    on_both(|name, store| {
        let note = |n: Option<u8>, detail: &str| {
            let actor = Actor::Client;
            let action = Action::LoginLocked;
            let account = n.map(peer);
            Write::Account(AccountWrite::Note(AuditEntry { actor, action, account, detail: detail.into() }))
        };
        write(&*store, &[note(Some(1), "a"), note(None, "b")]);
        store.write(later(10), &[note(Some(1), "c")], Durability::Relaxed).unwrap();
        let details = |account: Option<u8>, limit| -> Vec<String> {
            let rows = store.audit_log(&AuditQuery { account: account.map(peer), limit }).unwrap();
            rows.into_iter().map(|row| row.detail).collect()
        };
        assert_eq!(details(None, 2), ["c", "b"], "{name}");
        assert_eq!(details(Some(1), 100), ["c", "a"], "{name}");
        assert_eq!(store.prune_audit_log(NOW).unwrap(), 0, "{name}");
        assert_eq!(store.prune_audit_log(later(10)).unwrap(), 2, "{name}");
        assert_eq!(details(None, 100), ["c"], "{name}");
        assert_eq!(store.facts().unwrap().newest_at, Some(later(10)), "{name}");
    });
}
