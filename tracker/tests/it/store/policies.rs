//! Access policies of files, and groups.

use std::collections::BTreeMap;
use std::thread;

use peernet_engine::access::{GroupId, Visibility};
use peernet_engine::ids::FileHash;
use peernet_protos::limits::GROUPS_MAX;
use peernet_tracker::store::policies::{Group, Policy, PolicyWrite, Refusal, SetAccess};
use peernet_tracker::store::{Durability, SearchQuery, Store, Write, Written};

use super::support::{NOW, account, file, later, listing, manifest, on_both, peer, write};

const FILES_MAX: usize = 3;

fn do_it(store: &dyn Store, change: PolicyWrite) -> Written {
    store.write(NOW, &[Write::Policy(change)], Durability::Synced).unwrap().remove(0)
}

/// The accounts and groups that a file is shared with.
#[derive(Clone, Copy)]
struct With<'a> {
    accounts: &'a [u8],
    groups: &'a [&'a str],
}

const ALONE: With<'_> = With { accounts: &[], groups: &[] };

fn set(store: &dyn Store, of: u8, caller: u8, visibility: Visibility, with: With<'_>) -> Written {
    let set = SetAccess {
        file_hash: file(of),
        caller: peer(caller),
        visibility,
        accounts: with.accounts.iter().copied().map(peer).collect(),
        groups: with.groups.iter().map(|name| (*name).to_owned()).collect(),
        files_max: FILES_MAX,
    };
    do_it(store, PolicyWrite::Set(set))
}

fn withdraw(store: &dyn Store, of: u8, caller: u8) -> Written {
    do_it(store, PolicyWrite::Withdraw { file_hash: file(of), caller: peer(caller), files_max: FILES_MAX })
}

fn put_group(store: &dyn Store, id: u8, owner: u8, name: &str, members: &[u8]) -> Written {
    let members = members.iter().copied().map(peer).collect();
    do_it(
        store,
        PolicyWrite::PutGroup(Group { id: GroupId([id; 16]), owner: peer(owner), name: name.to_owned(), members }),
    )
}

fn refused(refusal: Refusal) -> Written {
    Written::Refused(refusal)
}

/// Creates the accounts 1 to 5.
fn accounts(store: &dyn Store) {
    write(store, &[1, 2, 3, 4, 5].map(|n| Write::create_account(account(n, None))));
}

fn changed(store: &dyn Store, after: i64) -> BTreeMap<FileHash, Policy> {
    let mut found = BTreeMap::new();
    store.changed_policies(after, &mut |policy| drop(found.insert(policy.file_hash, policy))).unwrap();
    found
}

/// Returns names and members of the groups that changed.
fn changed_groups(store: &dyn Store, after: i64) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut note =
        |group: Group| drop(found.insert(group.name, group.members.iter().map(|member| member.0[0]).collect()));
    store.changed_groups(after, &mut note).unwrap();
    found
}

#[test]
fn a_file_belongs_to_its_first_setter_or_announcer() {
    on_both(|name, store| {
        accounts(&*store);
        let store = &*store;
        assert_eq!(set(store, 1, 2, Visibility::Private, ALONE), Written::Done, "{name}: without an owner");
        assert_eq!(set(store, 1, 1, Visibility::Public, ALONE), refused(Refusal::NotOwner), "{name}");
        // Account 1 announces every manifest of the tests.
        write(store, &[Write::PutManifest(manifest(1, 2, "a", NOW)), Write::PutManifest(manifest(2, 2, "b", NOW))]);
        assert_eq!(store.policy(file(1)).unwrap().unwrap().owner, peer(2), "{name}: as before");
        assert_eq!(set(store, 2, 2, Visibility::Private, ALONE), refused(Refusal::NotOwner), "{name}");
        let untouched = store.policy(file(2)).unwrap().unwrap();
        assert_eq!(
            (untouched.owner, untouched.visibility, untouched.changed),
            (peer(1), Visibility::Public, 0),
            "{name}"
        );
        assert_eq!(set(store, 2, 1, Visibility::Private, ALONE), Written::Done, "{name}: its announcer's");

        write(store, &[Write::SealV1(listing(3, 4, later(9)))]);
        assert_eq!(set(store, 4, 1, Visibility::Private, ALONE), refused(Refusal::NotOwner), "{name}");
        assert_eq!(
            set(store, 4, 3, Visibility::Private, ALONE),
            Written::Done,
            "{name}: announced in version 1's form"
        );
        write(store, &[Write::SealV1(listing(3, 5, later(9))), Write::Leave { peer: peer(3), files: None }]);
        assert_eq!(set(store, 5, 3, Visibility::Private, ALONE), refused(Refusal::NotOwner), "{name}: forgotten whose");
        assert_eq!(store.policy(file(9)).unwrap(), None, "{name}");
    });
}

#[test]
fn the_last_policy_of_a_file_is_read_back() {
    on_both(|name, store| {
        accounts(&*store);
        let store = &*store;
        assert_eq!(store.policy_sequence().unwrap(), 0, "{name}");
        assert_eq!(put_group(store, 7, 1, "lab ä", &[4, 5]), Written::Done, "{name}");
        assert_eq!(
            set(store, 1, 1, Visibility::Shared, With { accounts: &[3, 2], groups: &["lab ä"] }),
            Written::Done,
            "{name}"
        );
        let expected = Policy {
            file_hash: file(1),
            owner: peer(1),
            visibility: Visibility::Shared,
            changed: store.policy_sequence().unwrap(),
            accounts: vec![peer(2), peer(3)],
            groups: vec![GroupId([7; 16])],
        };
        assert_eq!(store.policy(file(1)).unwrap(), Some(expected.clone()), "{name}");
        assert_eq!(changed(store, 0), BTreeMap::from([(file(1), expected.clone())]), "{name}");
        assert_eq!(changed(store, expected.changed), BTreeMap::new(), "{name}");

        assert_eq!(set(store, 1, 1, Visibility::Public, ALONE), Written::Done, "{name}");
        let public = &changed(store, expected.changed)[&file(1)];
        assert!(
            public.visibility == Visibility::Public && public.accounts.is_empty() && public.groups.is_empty(),
            "{name}"
        );
    });
}

#[test]
fn a_policy_with_unknown_names_or_over_a_limit_is_refused() {
    on_both(|name, store| {
        accounts(&*store);
        let store = &*store;
        put_group(store, 7, 2, "theirs", &[1]);
        assert_eq!(
            set(store, 1, 1, Visibility::Shared, With { accounts: &[2, 9], groups: &[] }),
            refused(Refusal::UnknownAccount),
            "{name}"
        );
        assert_eq!(
            set(store, 1, 1, Visibility::Shared, With { accounts: &[2], groups: &["theirs"] }),
            refused(Refusal::UnknownGroup),
            "{name}"
        );
        assert_eq!(put_group(store, 8, 1, "mine", &[9]), refused(Refusal::UnknownAccount), "{name}");
        assert!(changed(store, 0).is_empty() && store.groups(peer(1)).unwrap().is_empty(), "{name}");

        for of in 1..=FILES_MAX as u8 {
            assert_eq!(set(store, of, 1, Visibility::Private, ALONE), Written::Done, "{name}");
        }
        assert_eq!(set(store, 9, 1, Visibility::Private, ALONE), refused(Refusal::TooManyFiles), "{name}");
        assert_eq!(set(store, 1, 1, Visibility::Public, ALONE), Written::Done, "{name}: no more than before");
        assert_eq!(set(store, 9, 2, Visibility::Private, ALONE), Written::Done, "{name}: another account's bound");

        for n in 0..GROUPS_MAX as u8 {
            assert_eq!(put_group(store, 10 + n, 3, &format!("g{n}"), &[]), Written::Done, "{name}");
        }
        assert_eq!(put_group(store, 200, 3, "more", &[]), refused(Refusal::TooManyGroups), "{name}");
        assert_eq!(put_group(store, 201, 3, "g1", &[4]), Written::Done, "{name}: its members are replaced");
        assert_eq!(store.groups(peer(3)).unwrap().len(), GROUPS_MAX, "{name}");
    });
}

#[test]
fn a_withdrawal_by_the_owner_ends_with_a_new_policy() {
    on_both(|name, store| {
        accounts(&*store);
        let store = &*store;
        write(store, &[Write::PutManifest(manifest(1, 2, "a", NOW))]);
        assert_eq!(withdraw(store, 9, 1), refused(Refusal::UnknownFile), "{name}");
        assert_eq!(withdraw(store, 1, 2), refused(Refusal::NotOwner), "{name}");
        assert_eq!((withdraw(store, 1, 1), withdraw(store, 1, 1)), (Written::Done, Written::Unchanged), "{name}");
        let access = || store.policy(file(1)).unwrap().unwrap().visibility;
        assert_eq!(access(), Visibility::Withdrawn, "{name}");
        assert_eq!(set(store, 1, 1, Visibility::Public, ALONE), Written::Done, "{name}");
        assert_eq!(access(), Visibility::Public, "{name}");
    });
}

#[test]
fn readers_see_groups_replaced_and_deleted() {
    on_both(|name, store| {
        accounts(&*store);
        let store = &*store;
        let now = || store.policy_sequence().unwrap();
        put_group(store, 7, 1, "b", &[2]);
        put_group(store, 8, 1, "a", &[3, 2]);
        put_group(store, 9, 2, "a", &[4]);
        let names: Vec<String> = store.groups(peer(1)).unwrap().into_iter().map(|group| group.name).collect();
        assert_eq!(names, ["a", "b"], "{name}: by name, no other account's");
        assert_eq!(store.groups(peer(1)).unwrap()[0].members, [peer(2), peer(3)], "{name}");

        let before = now();
        set(store, 1, 1, Visibility::Shared, With { accounts: &[], groups: &["b"] });
        assert_eq!(changed_groups(store, before), BTreeMap::from([("b".into(), vec![2])]), "{name}: now named");
        let before = now();
        put_group(store, 77, 1, "b", &[5]);
        assert_eq!(changed_groups(store, before), BTreeMap::from([("b".into(), vec![5])]), "{name}");
        assert!(changed(store, before).is_empty(), "{name}: the same group under the same id");

        let before = now();
        let delete =
            |owner, group: &str| do_it(store, PolicyWrite::DeleteGroup { owner: peer(owner), name: group.to_owned() });
        assert_eq!(delete(2, "b"), refused(Refusal::UnknownGroup), "{name}");
        assert_eq!((delete(1, "b"), delete(1, "b")), (Written::Done, refused(Refusal::UnknownGroup)), "{name}");
        assert!(changed(store, before)[&file(1)].groups.is_empty(), "{name}");
        assert_eq!(store.groups(peer(1)).unwrap().len(), 1, "{name}");
    });
}

#[test]
fn a_search_finds_only_files_that_the_caller_may_see() {
    on_both(|name, store| {
        accounts(&*store);
        let store = &*store;
        write(store, &[1, 2, 3, 4, 5].map(|n| Write::PutManifest(manifest(n, 1, &format!("set {n}"), NOW))));
        put_group(store, 7, 1, "lab", &[3]);
        let set = |of, visibility, accounts: &[u8], groups: &[&str]| {
            let set = SetAccess {
                file_hash: file(of),
                caller: peer(1),
                visibility,
                accounts: accounts.iter().copied().map(peer).collect(),
                groups: groups.iter().map(|name| (*name).to_owned()).collect(),
                files_max: 9,
            };
            do_it(store, PolicyWrite::Set(set))
        };
        set(2, Visibility::Private, &[], &[]);
        set(3, Visibility::Shared, &[2], &["lab"]);
        set(4, Visibility::Public, &[], &[]);
        assert_eq!(withdraw(store, 5, 1), refused(Refusal::TooManyFiles), "{name}");
        let write = PolicyWrite::Withdraw { file_hash: file(5), caller: peer(1), files_max: 9 };
        assert_eq!(do_it(store, write), Written::Done, "{name}");
        for (caller, expected) in [(1, &[4, 3, 2, 1][..]), (2, &[4, 3, 1]), (3, &[4, 3, 1]), (4, &[4, 1])] {
            let query = SearchQuery { words: vec!["set".into()], caller: peer(caller), limit: 10, after: None };
            let found: Vec<u8> = store.search(&query).unwrap().iter().map(|meta| meta.file_hash.0[0]).collect();
            assert_eq!(found, expected, "{name}: account {caller}");
        }
    });
}

#[test]
fn a_reader_up_to_a_number_misses_no_earlier_change() {
    const WRITERS: u8 = 4;
    const EACH: u8 = 40;
    on_both(|name, store| {
        accounts(&*store);
        let mut known = BTreeMap::new();
        let mut read_up_to = 0;
        thread::scope(|scope| {
            let store = &*store;
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let of = move |n: u8| writer * EACH + n;
                    let one = move |n: u8| {
                        PolicyWrite::Set(SetAccess {
                            file_hash: file(of(n)),
                            caller: peer(writer + 1),
                            visibility: Visibility::Private,
                            accounts: Vec::new(),
                            groups: Vec::new(),
                            files_max: 1_000,
                        })
                    };
                    scope.spawn(move || (0..EACH).for_each(|n| assert_eq!(do_it(store, one(n)), Written::Done)))
                })
                .collect();
            loop {
                // Read before the last look, which therefore sees every write.
                let done = writers.iter().all(|writer| writer.is_finished());
                let number = store.policy_sequence().unwrap();
                known.extend(changed(store, read_up_to));
                read_up_to = number;
                if done {
                    break;
                }
            }
        });
        assert_eq!(known.len(), usize::from(WRITERS * EACH), "{name}");
        assert_eq!(read_up_to, i64::from(WRITERS * EACH), "{name}");
    });
}

#[test]
fn policies_of_several_pages_are_all_read() {
    on_both(|name, store| {
        accounts(&*store);
        let hash = |n: u16| {
            let mut hash = [0; 32];
            hash[..2].copy_from_slice(&n.to_be_bytes());
            FileHash(hash)
        };
        let batch: Vec<Write> = (0..2_100)
            .map(|n| {
                Write::Policy(PolicyWrite::Set(SetAccess {
                    file_hash: hash(n),
                    caller: peer(1),
                    visibility: Visibility::Private,
                    accounts: Vec::new(),
                    groups: Vec::new(),
                    files_max: 5_000,
                }))
            })
            .collect();
        assert!(write(&*store, &batch).iter().all(|written| *written == Written::Done), "{name}");
        assert_eq!((changed(&*store, 0).len(), changed(&*store, 2_000).len()), (2_100, 100), "{name}");
    });
}
