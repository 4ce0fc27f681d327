//! Devices and the exchange of their refresh tokens.

use std::thread;

use peernet_engine::ids::DeviceId;
use peernet_engine::time::UnixMillis;
use peernet_tracker::base::scopes::Scopes;
use peernet_tracker::store::accounts::AccountWrite;
use peernet_tracker::store::audit_log::AuditQuery;
use peernet_tracker::store::devices::{DEVICES_MAX, Device, ENDED_MAX, NewDevice, Renewal, Revoked};
use peernet_tracker::store::{Durability, Store, Write, Written};

use super::support::{HOUR_MS, NOW, account, device, later, on_both, peer, token, write};

const SECOND_MS: i64 = 1_000;

fn at(store: &dyn Store, now: UnixMillis, change: AccountWrite) -> Written {
    store.write(now, &[Write::Account(change)], Durability::Synced).unwrap().remove(0)
}

fn add(n: u8, of: u8, generation: u32) -> AccountWrite {
    AccountWrite::AddDevice { device: device(n, of), generation }
}

/// Exchanges token `shown` of device `n` of account 1 for the token `next`.
fn renewal(n: u8, shown: u8, next: u8, now: UnixMillis) -> AccountWrite {
    AccountWrite::RenewDevice(Renewal {
        device: DeviceId([n; 16]),
        account: peer(1),
        shown_hash: token(n, shown),
        next_hash: token(n, next),
        expires_at: UnixMillis(now.0 + HOUR_MS),
    })
}

/// Creates account 1 with device 1.
fn logged_in(store: &dyn Store) {
    write(store, &[Write::create_account(account(1, None))]);
    assert_eq!(at(store, NOW, add(1, 1, 0)), Written::Done);
}

fn live(store: &dyn Store, now: UnixMillis) -> Vec<u8> {
    store.devices(peer(1), now).unwrap().iter().map(|device| device.id.0[0]).collect()
}

/// Returns every action of the audit log except the registration, with its detail, oldest first.
fn log(store: &dyn Store) -> Vec<(String, String)> {
    let rows = store.audit_log(&AuditQuery { account: Some(peer(1)), limit: 1_000 }).unwrap();
    rows.into_iter().rev().skip(1).map(|row| (row.action, row.detail)).collect()
}

fn actions(store: &dyn Store) -> Vec<String> {
    log(store).into_iter().map(|(action, _)| action).collect()
}

#[test]
fn a_device_is_added_only_at_the_current_generation() {
    on_both(|name, store| {
        write(&*store, &[Write::create_account(account(1, None)), Write::create_account(account(2, None))]);
        let new = NewDevice { label: "lap\0top".into(), scopes: Scopes::READ, ..device(1, 1) };
        let add_new = AccountWrite::AddDevice { device: new, generation: 0 };
        assert_eq!(at(&*store, later(5), add_new), Written::Done, "{name}");
        assert_eq!(at(&*store, NOW, add(2, 1, 1)), Written::Stale, "{name}: another generation");
        assert_eq!(at(&*store, NOW, add(2, 9, 0)), Written::Stale, "{name}: no account");
        let stored = Device {
            id: DeviceId([1; 16]),
            account: peer(1),
            label: "lap\u{fffd}top".into(),
            scopes: Scopes::READ,
            created_at: later(5),
            seen_at: later(5),
            expires_at: later(HOUR_MS),
            revoked_at: None,
        };
        assert_eq!(store.device_of_family(&[1; 32]).unwrap(), Some(stored.clone()), "{name}");
        assert_eq!(store.device_of_family(&token(1, 0)).unwrap(), None, "{name}: the whole token is not its half");
        assert_eq!(store.devices(peer(1), NOW).unwrap(), [stored], "{name}");
        assert_eq!(store.devices(peer(2), NOW).unwrap(), [], "{name}");
        assert_eq!(live(&*store, later(HOUR_MS)), [0; 0], "{name}: it expires");
        let id = DeviceId([1; 16]).to_string();
        let rows = log(&*store);
        assert!(rows.len() == 1 && rows[0].0 == "device_added" && rows[0].1.starts_with(&id), "{name}: {rows:?}");
    });
}

#[test]
fn an_account_and_its_first_device_are_created_together() {
    on_both(|name, store| {
        let together =
            |n: u8, of: u8| [Write::create_account(account(of, Some("a:1"))), Write::Account(add(n, of, 0))].to_vec();
        assert_eq!(write(&*store, &together(1, 1)), [Written::Done, Written::Done], "{name}");
        let written = write(&*store, &together(2, 2));
        assert!(matches!(written[..], [Written::AddressTaken(_), Written::Stale]), "{name}: {written:?}");
        assert_eq!(live(&*store, NOW), [1], "{name}");
    });
}

#[test]
fn a_token_is_exchanged_once_and_a_replaced_one_ends_it_all() {
    on_both(|name, store| {
        logged_in(&*store);
        let show = |shown, next, now| at(&*store, now, renewal(1, shown, next, now));
        assert_eq!(show(0, 1, later(SECOND_MS)), Written::Done, "{name}");
        assert_eq!(show(1, 2, later(30 * SECOND_MS)), Written::Done, "{name}");
        let found = &store.devices(peer(1), NOW).unwrap()[0];
        assert_eq!(
            (found.seen_at, found.expires_at),
            (later(30 * SECOND_MS), later(30 * SECOND_MS + HOUR_MS)),
            "{name}"
        );
        assert_eq!(actions(&*store), ["device_added"], "{name}: a renewal is not written down");
        // A token from two exchanges ago, and the last one a moment too late.
        assert_eq!(show(0, 3, later(31 * SECOND_MS)), Written::Reused, "{name}");
        assert_eq!(show(2, 4, later(32 * SECOND_MS)), Written::Stale, "{name}: nothing of it works any more");
        assert_eq!(show(0, 5, later(33 * SECOND_MS)), Written::Stale, "{name}");
        assert_eq!(live(&*store, NOW), [0; 0], "{name}");
        assert_eq!(log(&*store)[1], ("refresh_token_reused".into(), DeviceId([1; 16]).to_string()), "{name}");
        assert_eq!(actions(&*store).len(), 2, "{name}");
    });
}

#[test]
fn a_lost_reply_can_be_retried_until_the_successor_is_used() {
    on_both(|name, store| {
        logged_in(&*store);
        write(&*store, &[2, 3, 4].map(|n| Write::Account(add(n, 1, 0))));
        let show = |n, shown, next, now| at(&*store, now, renewal(n, shown, next, now));
        assert_eq!(show(1, 0, 1, NOW), Written::Done, "{name}");
        assert_eq!(show(1, 0, 2, later(9_999)), Written::Done, "{name}: the answer was lost");
        assert_eq!(show(1, 2, 3, later(9_999)), Written::Done, "{name}: its successor is good");
        assert_eq!(show(1, 1, 4, later(9_999)), Written::Reused, "{name}: the unused one is dead");

        assert_eq!(show(2, 0, 1, NOW), Written::Done, "{name}");
        assert_eq!(show(2, 0, 2, later(10_000)), Written::Reused, "{name}: too late");

        assert_eq!(show(3, 0, 1, NOW), Written::Done, "{name}");
        assert_eq!(show(3, 0, 2, later(5_000)), Written::Done, "{name}");
        assert_eq!(show(3, 0, 3, later(10_000)), Written::Reused, "{name}: asking again does not prolong it");

        assert_eq!(show(4, 0, 1, NOW), Written::Done, "{name}");
        assert_eq!(show(4, 1, 2, later(1)), Written::Done, "{name}");
        assert_eq!(show(4, 0, 3, later(2)), Written::Reused, "{name}: the successor was used");
    });
}

#[test]
fn an_unknown_token_of_a_family_ends_the_device() {
    on_both(|name, store| {
        logged_in(&*store);
        write(&*store, &[Write::Account(add(2, 1, 0))]);
        // The caller knows the family, so it has had a token of it.
        assert_eq!(at(&*store, NOW, renewal(1, 77, 1, NOW)), Written::Reused, "{name}");
        assert_eq!(at(&*store, later(HOUR_MS), renewal(2, 0, 1, NOW)), Written::Stale, "{name}: expired");
        assert_eq!(at(&*store, NOW, renewal(9, 0, 1, NOW)), Written::Stale, "{name}: unknown");
        assert_eq!(at(&*store, later(HOUR_MS - 1), renewal(2, 0, 1, NOW)), Written::Done, "{name}: its last moment");
    });
}

#[test]
fn concurrent_exchanges_of_a_token_leave_one_chain() {
    on_both(|name, store| {
        logged_in(&*store);
        let written: Vec<Written> = thread::scope(|scope| {
            let store = &store;
            let threads: Vec<_> =
                (1..=8).map(|next| scope.spawn(move || at(&**store, NOW, renewal(1, 0, next, NOW)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(written.iter().all(|written| *written == Written::Done), "{name}: {written:?}");
        // Seven of the eight successors are dead. The first of them that is presented ends the device.
        let shown: Vec<Written> =
            (1..=8).map(|next| at(&*store, later(1), renewal(1, next, 100 + next, NOW))).collect();
        let count = |wanted| shown.iter().filter(|written| **written == wanted).count();
        assert!(count(Written::Done) <= 1 && count(Written::Reused) == 1, "{name}: {shown:?}");
        assert_eq!(live(&*store, NOW), [0; 0], "{name}");
    });
}

#[test]
fn a_device_is_ended_once_and_only_by_its_account() {
    on_both(|name, store| {
        logged_in(&*store);
        write(&*store, &[Write::create_account(account(2, None))]);
        let revoke =
            |of, n| at(&*store, later(7), AccountWrite::RevokeDevice { account: peer(of), id: DeviceId([n; 16]) });
        assert_eq!((revoke(2, 1), revoke(1, 9)), (Written::Stale, Written::Stale), "{name}");
        assert_eq!(live(&*store, NOW), [1], "{name}");
        assert_eq!((revoke(1, 1), revoke(1, 1)), (Written::Done, Written::Unchanged), "{name}");
        assert_eq!(actions(&*store), ["device_added", "device_revoked"], "{name}");
        let ended = Revoked { id: DeviceId([1; 16]), account: peer(1), at: later(7) };
        assert_eq!(store.revoked_devices(later(6)).unwrap(), [ended], "{name}");
        assert_eq!(store.revoked_devices(later(7)).unwrap(), [], "{name}");
    });
}

#[test]
fn a_new_password_or_an_operator_ends_all_older_devices() {
    on_both(|name, store| {
        logged_in(&*store);
        write(
            &*store,
            &[Write::create_account(account(2, None)), Write::Account(add(2, 1, 0)), Write::Account(add(3, 2, 0))],
        );
        let password = |generation, n| Write::SetPassword {
            id: peer(1),
            generation,
            password_hash: "new".into(),
            device: Some(device(n, 1)),
        };
        assert_eq!(write(&*store, &[password(7, 9), password(0, 4)]), [Written::Stale, Written::Done], "{name}");
        assert_eq!(live(&*store, NOW), [4], "{name}");
        assert_eq!(at(&*store, NOW, renewal(1, 0, 1, NOW)), Written::Stale, "{name}");
        assert_eq!(at(&*store, NOW, renewal(4, 0, 1, NOW)), Written::Done, "{name}");
        assert_eq!(at(&*store, NOW, AccountWrite::Revoke { id: peer(1) }), Written::Done, "{name}");
        assert_eq!(live(&*store, NOW), [0; 0], "{name}");
        assert_eq!(at(&*store, NOW, renewal(4, 1, 2, NOW)), Written::Stale, "{name}");
        assert_eq!(store.devices(peer(2), NOW).unwrap().len(), 1, "{name}: another account's");
        let rows = log(&*store);
        let of = |action: &str| rows.iter().find(|row| row.0 == action).map(|row| row.1.clone());
        assert_eq!(of("password_changed").as_deref(), Some("devices ended: 2"), "{name}");
        assert_eq!(of("revoked").as_deref(), Some("devices ended: 1"), "{name}");
    });
}

#[test]
fn one_login_too_many_ends_the_least_recent_device() {
    on_both(|name, store| {
        write(&*store, &[Write::create_account(account(1, None))]);
        for n in 0..DEVICES_MAX as u8 {
            assert_eq!(at(&*store, later(i64::from(n)), add(n, 1, 0)), Written::Done, "{name}");
        }
        // The oldest device was seen again, so the second oldest is ended.
        assert_eq!(at(&*store, later(500), renewal(0, 0, 1, NOW)), Written::Done, "{name}");
        let last = DEVICES_MAX as u8;
        assert_eq!(at(&*store, later(600), add(last, 1, 0)), Written::Replaced(vec![DeviceId([1; 16])]), "{name}");
        let live = live(&*store, later(600));
        assert!(
            live.len() == DEVICES_MAX && live[0] == last && !live.contains(&1) && live.contains(&0),
            "{name}: {live:?}"
        );
        assert_eq!(log(&*store).iter().filter(|row| row.0 == "device_revoked").count(), 1, "{name}");
    });
}

#[test]
fn the_newest_ended_devices_are_kept() {
    on_both(|name, store| {
        write(&*store, &[Write::create_account(account(1, None))]);
        let ended = |n: u8| AccountWrite::RevokeDevice { account: peer(1), id: DeviceId([n; 16]) };
        for n in 0..=ENDED_MAX as u8 {
            at(&*store, NOW, add(n, 1, 0));
            at(&*store, later(i64::from(n)), ended(n));
        }
        assert_eq!(store.revoked_devices(UnixMillis(0)).unwrap().len(), ENDED_MAX + 1, "{name}");
        at(&*store, later(1_000), add(250, 1, 0));
        let revoked = store.revoked_devices(UnixMillis(0)).unwrap();
        let ids: Vec<u8> = revoked.iter().map(|device| device.id.0[0]).collect();
        assert!(ids.len() == ENDED_MAX && ids[0] == ENDED_MAX as u8 && !ids.contains(&0), "{name}: the oldest went");

        assert_eq!(store.prune_devices(later(11)).unwrap(), 10, "{name}");
        assert_eq!(store.prune_devices(later(11)).unwrap(), 0, "{name}");
        assert_eq!(live(&*store, later(1_000)), [250], "{name}");
        assert_eq!(
            store.prune_devices(later(HOUR_MS + 1)).unwrap(),
            ENDED_MAX as u64 - 9,
            "{name}: the expired one too"
        );
    });
}
