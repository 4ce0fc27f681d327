//! Changes of access policies without HTTP, against an SQLite store in a temporary folder.

use peernet_engine::access::GroupId;
use std::thread::JoinHandle;

use super::*;
use crate::commit::Writer;
use crate::domain::permits::Permits;
use crate::domain::swarm::Limits;
use crate::store::policies::{PolicyWrite, Refusal, SetAccess};
use crate::store::sqlite::SqliteStore;
use crate::store::{Account, Durability, Store, Write};

const NOON: UnixMillis = UnixMillis(1_800_000_000_000);
const FILE: FileHash = FileHash([7; 32]);

fn noon() -> UnixMillis {
    NOON
}

fn peer(n: u8) -> PeerId {
    PeerId([n; 16])
}

/// Access control on a fresh store with the accounts 1 to 3, and the thread that commits its writes.
struct Scene {
    access: AccessControl,
    database: Arc<Database>,
    writer: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Store> = SqliteStore::open(&folder.path().join("store.sqlite")).expect("opens");
        store.migrate(NOON).expect("makes its tables");
        let accounts = (1..=3).map(|n| {
            let password_hash = "a hash".to_owned();
            Write::create_account(Account {
                id: peer(n),
                address: None,
                password_hash,
                generation: 0,
                created_at: NOON,
            })
        });
        store.write(NOON, &accounts.collect::<Vec<_>>(), Durability::Synced).expect("commits");
        let commits = Arc::clone(&store);
        let apply = move |writes: &[Write], durability| commits.write(NOON, writes, durability);
        let (writer, write_loop) = Writer::new(Box::new(apply));
        let thread = std::thread::spawn(move || write_loop.run());
        let database = Arc::new(Database::new(store, Permits::new(2), writer));
        let swarm = Arc::new(Swarm::new(Limits::default()));
        let access = AccessControl::new(Arc::clone(&database), swarm, noon);
        Self { access, database, writer: Some(thread), _folder: folder }
    }

    fn set(&self, caller: u8, access: Visibility, accounts: &[u8], groups: &[&str]) -> Result<(), AccessError> {
        self.access.change(PolicyWrite::Set(SetAccess {
            file_hash: FILE,
            caller: peer(caller),
            visibility: access,
            accounts: accounts.iter().copied().map(peer).collect(),
            groups: groups.iter().map(|name| (*name).to_owned()).collect(),
            files_max: 2,
        }))
    }

    /// The accounts of 1 to 3 that may have the file.
    fn admitted(&self) -> Vec<u8> {
        (1..=3).filter(|n| self.access.visibility_for(FILE, peer(*n)).is_some()).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.database.writer.close();
        if let Some(thread) = self.writer.take() {
            thread.join().expect("the writer ends");
        }
    }
}

#[test]
fn a_change_is_in_force_when_it_returns() {
    let scene = Scene::new();
    assert_eq!(scene.admitted(), [1, 2, 3]);
    scene.set(1, Visibility::Private, &[], &[]).expect("changes");
    assert_eq!(scene.admitted(), [1]);
    scene.set(1, Visibility::Shared, &[3], &[]).expect("changes");
    assert_eq!(scene.admitted(), [1, 3]);
    scene.set(1, Visibility::Public, &[], &[]).expect("changes");
    assert_eq!(scene.admitted(), [1, 2, 3]);
}

#[test]
fn a_group_is_shared_with_by_its_name() {
    let scene = Scene::new();
    let group = Group { id: GroupId([1; 16]), owner: peer(1), name: "lab".to_owned(), members: vec![peer(2)] };
    scene.access.change(PolicyWrite::PutGroup(group)).expect("changes");
    scene.set(1, Visibility::Shared, &[], &["lab"]).expect("changes");
    assert_eq!(scene.admitted(), [1, 2]);
    let shown = scene.access.policy(peer(1), FILE).expect("its owner");
    assert_eq!((shown.groups, shown.policy.visibility), (vec!["lab".to_owned()], Visibility::Shared));
    assert_eq!(scene.access.group(peer(1), "lab").expect("its owner").members, [peer(2)]);
    let delete = PolicyWrite::DeleteGroup { owner: peer(1), name: "lab".to_owned() };
    scene.access.change(delete).expect("changes");
    assert_eq!(scene.admitted(), [1]);
}

#[test]
fn a_change_is_refused_by_its_cause() {
    let scene = Scene::new();
    scene.set(1, Visibility::Private, &[], &[]).expect("changes");
    let refused = |refusal| Err(AccessError::Refused(refusal));
    assert_eq!(scene.set(2, Visibility::Public, &[], &[]), refused(Refusal::NotOwner));
    assert_eq!(scene.set(1, Visibility::Shared, &[9], &[]), refused(Refusal::UnknownAccount));
    assert_eq!(scene.set(1, Visibility::Shared, &[], &["none"]), refused(Refusal::UnknownGroup));
    assert_eq!(scene.access.group(peer(1), "none"), Err(AccessError::UnknownGroup));
    assert_eq!(scene.admitted(), [1], "nothing changed");
}

#[test]
fn another_account_learns_nothing_of_a_private_file() {
    let scene = Scene::new();
    scene.set(1, Visibility::Private, &[], &[]).expect("changes");
    assert_eq!(scene.access.policy(peer(2), FILE), Err(AccessError::UnknownFile));
    assert_eq!(scene.access.withdraw(FILE, peer(2), 2), Err(AccessError::UnknownFile));
    scene.set(1, Visibility::Shared, &[2], &[]).expect("changes");
    let refused = scene.access.withdraw(FILE, peer(2), 2);
    assert_eq!(refused, Err(AccessError::Refused(Refusal::NotOwner)), "it may know of this file");
}

#[test]
fn a_withdrawn_file_is_for_no_account() {
    let scene = Scene::new();
    scene.set(1, Visibility::Public, &[], &[]).expect("changes");
    scene.access.withdraw(FILE, peer(1), 2).expect("its owner");
    scene.access.withdraw(FILE, peer(1), 2).expect("once more");
    assert_eq!(scene.admitted(), [] as [u8; 0]);
}

#[test]
fn policies_read_afresh_replace_all_others() {
    let policies = Policies::default();
    let owner = PeerId([1; 16]);
    let other = PeerId([2; 16]);
    let private = |n: u8| {
        let file_hash = FileHash([n; 32]);
        let access = Visibility::Private;
        let accounts = Vec::new();
        let groups = Vec::new();
        Policy { file_hash, owner, visibility: access, changed: 1, accounts, groups }
    };
    let hidden = |n: u8| policies.visibility_for(FileHash([n; 32]), other).is_none();
    assert!(!hidden(1) && !policies.is_restricted(FileHash([1; 32])));
    policies.apply(&[private(1)], Vec::new(), false);
    policies.apply(&[private(2)], Vec::new(), false);
    assert!(hidden(1) && hidden(2) && policies.is_restricted(FileHash([1; 32])));
    assert_eq!(policies.visibility_for(FileHash([1; 32]), owner), Some(Visibility::Private));
    policies.apply(&[private(3)], Vec::new(), true);
    assert!(!hidden(1) && !hidden(2) && hidden(3));
}
