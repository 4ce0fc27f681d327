//! Accounts: addresses, passwords and grants.

use peernet_engine::economy::{REGISTRATION_GRANT_MT, SUPPLY_MT};
use peernet_tracker::store::{Account, Durability, Write, Written};

use super::support::{HOUR_MS, account, later, on_both, peer, write};

#[test]
fn an_account_is_created_once_and_found_by_id_and_address() {
    on_both(|name, store| {
        let made = account(1, Some("10.0.0.1:50051"));
        let again = Account { password_hash: "other".into(), ..made.clone() };
        let batch = [Write::create_account(made.clone()), Write::create_account(again)];
        assert_eq!(write(&*store, &batch), [Written::Done, Written::Unchanged], "{name}");
        assert_eq!(write(&*store, &batch[..1]), [Written::Unchanged], "{name}");
        assert_eq!(store.account(peer(1)).unwrap(), Some(made.clone()), "{name}");
        assert_eq!(store.account_by_address("10.0.0.1:50051").unwrap(), Some(made), "{name}");
        assert_eq!(store.account(peer(2)).unwrap(), None, "{name}");
        assert_eq!(store.account_by_address("").unwrap(), None, "{name}");
        assert_eq!(store.ledger(peer(1)).unwrap().unwrap().balance_mt, REGISTRATION_GRANT_MT, "{name}");
        assert_eq!(store.ledger(peer(2)).unwrap(), None, "{name}");
    });
}

#[test]
fn a_taken_address_names_its_owner_and_grants_nothing() {
    on_both(|name, store| {
        let owner = account(1, Some("a:1"));
        let taken = Written::AddressTaken(Box::new(owner.clone()));
        let batch = [Write::create_account(owner), Write::create_account(account(2, Some("a:1")))];
        assert_eq!(write(&*store, &batch), [Written::Done, taken.clone()], "{name}");
        assert_eq!(write(&*store, &batch[1..]), [taken], "{name}");
        assert_eq!(store.account(peer(2)).unwrap(), None, "{name}");
        let totals = store.ledger_totals().unwrap();
        assert_eq!((totals.balances_mt, totals.escrow_mt), (REGISTRATION_GRANT_MT, 0), "{name}");
        assert_eq!(totals.treasury_mt, SUPPLY_MT - REGISTRATION_GRANT_MT, "{name}");
    });
}

#[test]
fn accounts_without_an_address_do_not_collide() {
    on_both(|name, store| {
        let batch = [1, 2].map(|n| Write::create_account(account(n, None)));
        assert_eq!(write(&*store, &batch), [Written::Done, Written::Done], "{name}");
        assert_eq!(store.account(peer(2)).unwrap().and_then(|found| found.address), None, "{name}");
    });
}

#[test]
fn the_grants_of_an_hour_are_capped_across_batches() {
    on_both(|name, store| {
        let create = |n: u8| Write::create_account(account(n, None));
        write(&*store, &[create(1), create(2), create(3)]);
        write(&*store, &[create(4), create(5), create(6)]);
        write(&*store, &[create(7)]);
        store.write(later(HOUR_MS), &[create(8)], Durability::Synced).unwrap();
        let balance = |n: u8| store.ledger(peer(n)).unwrap().unwrap().balance_mt / REGISTRATION_GRANT_MT;
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(balance), [1, 1, 1, 1, 1, 0, 0, 1], "{name}");
        assert_eq!(store.audit().unwrap(), [], "{name}");
    });
}

#[test]
fn a_password_changes_only_at_the_current_generation() {
    on_both(|name, store| {
        write(&*store, &[Write::create_account(account(1, None))]);
        let set = |n: u8, generation: u32, hash: &str| Write::SetPassword {
            id: peer(n),
            generation,
            password_hash: hash.to_owned(),
            device: None,
        };
        let batch = [set(1, 0, "second"), set(1, 0, "late"), set(1, 1, "third"), set(9, 0, "nobody")];
        assert_eq!(write(&*store, &batch), [Written::Done, Written::Stale, Written::Done, Written::Stale], "{name}");
        let found = store.account(peer(1)).unwrap().unwrap();
        assert_eq!((found.password_hash.as_str(), found.generation), ("third", 2), "{name}");
    });
}

#[test]
fn an_account_can_be_created_and_changed_in_one_batch() {
    on_both(|name, store| {
        let set = Write::SetPassword { id: peer(1), generation: 0, password_hash: "new".into(), device: None };
        let batch = [set.clone(), Write::create_account(account(1, None)), set];
        assert_eq!(write(&*store, &batch), [Written::Stale, Written::Done, Written::Done], "{name}");
    });
}
