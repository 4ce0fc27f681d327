//! Operations on accounts without HTTP, against an SQLite store in a temporary folder: each cause of failure by its error.

use std::thread::JoinHandle;
use std::time::Instant;

use peernet_protos::rest::{DeviceRequest, TokenRefreshRequest};

use super::*;
use crate::commit::Writer;
use crate::domain::access::AccessControl;
use crate::domain::authority::Setup;
use crate::domain::keys::Lifetimes;
use crate::domain::limits::RateSettings;
use crate::domain::permits::Permits;
use crate::domain::swarm::{self, Swarm};
use crate::store::audit_log::{Action, Actor, AuditEntry, AuditQuery};
use crate::store::sqlite::SqliteStore;
use crate::store::{Durability, Store};

const NOON: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const NO_LIMITS: RateSettings = RateSettings { per_address: 0, per_account: 0, registrations: 0, logins: 0 };

fn noon() -> UnixMillis {
    NOON
}

/// Accounts on a fresh store, with the thread that commits its writes.
struct Scene {
    accounts: Accounts,
    database: Arc<Database>,
    store: Arc<dyn Store>,
    writer: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(registration: Registration, rates: RateSettings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Store> = SqliteStore::open(&folder.path().join("store.sqlite")).expect("opens");
        store.migrate(NOON).expect("makes its tables");
        let commits = Arc::clone(&store);
        let apply = move |writes: &[Write], durability| commits.write(NOON, writes, durability);
        let (writer, write_loop) = Writer::new(Box::new(apply));
        let thread = std::thread::spawn(move || write_loop.run());
        let database = Arc::new(Database::new(Arc::clone(&store), Permits::new(2), writer));
        let lifetimes = Lifetimes { account: 12 * HOUR, device: HOUR, grant: HOUR };
        let setup = Setup {
            folder: folder.path().to_owned(),
            lifetime: HOUR,
            names: vec!["localhost".to_owned()],
            given: None,
        };
        let services = Services {
            database: Arc::clone(&database),
            passwords: Arc::new(Passwords::start(4).expect("threads")),
            limits: Arc::new(Limits::new(rates)),
            keys: Arc::new(Keys::open(folder.path(), lifetimes).expect("a key")),
            authority: Arc::new(Authority::open(setup).expect("an authority")),
            counters: Arc::default(),
            clock: noon,
        };
        let settings = AccountSettings {
            registration,
            refresh_lifetime: 24 * HOUR,
            certificate_lifetime: HOUR,
            audit_log_age_max: None,
        };
        let accounts = Accounts::new(settings, services);
        Self { accounts, database, store, writer: Some(thread), _folder: folder }
    }

    fn open() -> Self {
        Self::new(Registration::Open, NO_LIMITS)
    }

    fn register(&self, address: &str, password: &str) -> Result<Session> {
        self.accounts.register(None, registration(address, password))
    }

    fn log_in(&self, peer: PeerId, password: &str, device: Option<DeviceRequest>) -> Result<Session> {
        let request = LoginRequest {
            peer_id: Some(peer.to_string()),
            password: password.to_owned(),
            device,
            ..LoginRequest::default()
        };
        self.accounts.log_in(None, request)
    }

    fn caller(&self, session: &Session) -> Caller {
        self.accounts.services.keys.verify(NOON, &session.token.text).expect("our own token")
    }

    fn write(&self, write: AccountWrite) {
        self.store.write(NOON, &[Write::Account(write)], Durability::Synced).expect("commits");
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

fn registration(address: &str, password: &str) -> RegisterRequest {
    RegisterRequest {
        address: Some(address.to_owned()),
        password: Some(password.to_owned()),
        ..RegisterRequest::default()
    }
}

fn laptop(scopes: &[&str]) -> Option<DeviceRequest> {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    Some(DeviceRequest { label: "laptop".to_owned(), scopes })
}

#[test]
fn a_registration_is_refused_by_its_cause() {
    let scene = Scene::open();
    scene.register("10.0.0.1:1", "right").expect("registers");
    let no_address = RegisterRequest { address: None, ..registration("", "x") };
    let no_password = RegisterRequest { password: None, ..registration("10.0.0.2:1", "") };
    let long_invite = RegisterRequest { invite: Some("x".repeat(129)), ..registration("10.0.0.2:1", "x") };
    let no_label = DeviceRequest { label: String::new(), scopes: Vec::new() };
    for (request, error) in [
        (no_address, AccountsError::Missing("address")),
        (no_password, AccountsError::Missing("password")),
        (registration("10.0.0.1:1", "wrong"), AccountsError::AddressTaken),
        (registration("10.0.0.2:1", ""), AccountsError::Password(passwords::PasswordError::Empty)),
        (long_invite, AccountsError::InviteTooLong),
        (RegisterRequest { device: Some(no_label), ..registration("10.0.0.2:1", "x") }, AccountsError::InvalidLabel),
        (
            RegisterRequest { device: laptop(&["write"]), ..registration("10.0.0.2:1", "x") },
            AccountsError::InvalidScope,
        ),
    ] {
        assert_eq!(scene.accounts.register(None, request).map(|_| ()), Err(error));
    }
    let invalid = scene.register("not an address", "x").expect_err("no port");
    assert!(matches!(invalid, AccountsError::InvalidAddress(_)), "{invalid}");
}

#[test]
fn a_registered_address_logs_in_with_its_password() {
    let scene = Scene::open();
    let first = scene.register("10.0.0.1:1", "right").expect("registers");
    let again = scene.register("10.0.0.1:1", "right").expect("logs in");
    assert_eq!((first.created, again.created, first.peer), (true, false, again.peer));
}

#[test]
fn registration_needs_what_the_operator_asks_for() {
    for (registration_rule, invite, error) in [
        (Registration::Closed, None, AccountsError::RegistrationClosed),
        (Registration::Invite, None, AccountsError::InviteRequired),
        (Registration::Invite, Some("  "), AccountsError::InviteRequired),
        (Registration::Invite, Some("unknown-code"), AccountsError::InvalidInvite),
    ] {
        let scene = Scene::new(registration_rule, NO_LIMITS);
        let request = RegisterRequest { invite: invite.map(str::to_owned), ..registration("10.0.0.1:1", "x") };
        assert_eq!(scene.accounts.register(None, request).map(|_| ()), Err(error));
    }
}

#[test]
fn a_login_does_not_tell_unknown_accounts_from_wrong_passwords() {
    let scene = Scene::open();
    let session = scene.register("10.0.0.1:1", "right").expect("registers");
    scene.log_in(session.peer, "right", None).expect("logs in");
    for peer in [session.peer, PeerId([9; 16])] {
        assert_eq!(scene.log_in(peer, "wrong", None).map(|_| ()), Err(AccountsError::InvalidCredentials));
    }
    let neither = LoginRequest { password: "right".to_owned(), ..LoginRequest::default() };
    assert_eq!(scene.accounts.log_in(None, neither).map(|_| ()), Err(AccountsError::NameWanted));
}

#[test]
fn wrong_passwords_lock_the_account_and_the_audit_log_says_so() {
    let scene = Scene::open();
    let session = scene.register("10.0.0.1:1", "right").expect("registers");
    let error = (0..40).find_map(|_| match scene.log_in(session.peer, "wrong", None) {
        Err(AccountsError::InvalidCredentials) => None,
        other => Some(other.map(|_| ())),
    });
    assert!(matches!(error, Some(Err(AccountsError::TooManyAttempts(_)))), "{error:?}");
    let right = scene.log_in(session.peer, "right", None).map(|_| ());
    assert!(matches!(right, Err(AccountsError::TooManyAttempts(_))), "the right password waits as well: {right:?}");
}

#[test]
fn a_suspended_account_is_told_only_with_its_password() {
    let scene = Scene::open();
    let session = scene.register("10.0.0.1:1", "right").expect("registers");
    let caller = scene.caller(&session);
    scene.accounts.suspended.replace([session.peer]);
    assert_eq!(scene.log_in(session.peer, "right", None).map(|_| ()), Err(AccountsError::Suspended));
    assert_eq!(scene.log_in(session.peer, "wrong", None).map(|_| ()), Err(AccountsError::InvalidCredentials));
    assert_eq!(scene.accounts.check_caller(&caller), Err(AccountsError::Suspended));
}

#[test]
fn a_new_password_ends_every_earlier_token() {
    let scene = Scene::open();
    let session = scene.register("10.0.0.1:1", "old").expect("registers");
    let caller = scene.caller(&session);
    let change = |old: &str| PasswordRequest {
        old_password: old.to_owned(),
        new_password: "new".to_owned(),
        ..PasswordRequest::default()
    };
    let wrong = scene.accounts.change_password(&caller, None, change("wrong")).map(|_| ());
    assert_eq!(wrong, Err(AccountsError::WrongPassword));
    assert_eq!(scene.accounts.check_caller(&caller), Ok(()));
    let changed = scene.accounts.change_password(&caller, None, change("old")).expect("changes");
    assert_eq!(scene.accounts.check_caller(&caller), Err(AccountsError::InvalidToken));
    assert_eq!(scene.accounts.check_caller(&scene.caller(&changed)), Ok(()));
}

#[test]
fn reusing_a_replaced_refresh_token_ends_the_device() {
    let scene = Scene::open();
    let peer = scene.register("10.0.0.1:1", "right").expect("registers").peer;
    let session = scene.log_in(peer, "right", laptop(&["read"])).expect("logs in");
    let renew = |token: &RefreshToken| {
        let request = TokenRefreshRequest { refresh_token: token.text(), csr: None };
        scene.accounts.renew(None, &request).map(|session| session.device.expect("a device").refresh_token)
    };
    let device = session.device.as_ref().expect("a device");
    let second = renew(&device.refresh_token).expect("renews");
    let third = renew(&second).expect("renews");
    assert_eq!(renew(&device.refresh_token), Err(AccountsError::RefreshTokenReused));
    assert!(scene.accounts.is_revoked(device.id));
    assert_eq!(renew(&third), Err(AccountsError::InvalidRefreshToken));
    assert_eq!(scene.accounts.check_caller(&scene.caller(&session)), Err(AccountsError::InvalidToken));
}

#[test]
fn a_device_revokes_itself_and_others_only_with_the_scope() {
    let scene = Scene::open();
    let account = scene.register("10.0.0.1:1", "right").expect("registers");
    let one = scene.log_in(account.peer, "right", laptop(&["read"])).expect("logs in");
    let other = scene.log_in(account.peer, "right", laptop(&["read"])).expect("logs in");
    let id = |session: &Session| session.device.as_ref().expect("a device").id;
    let refused = scene.accounts.revoke_device(&scene.caller(&one), id(&other));
    assert!(matches!(refused, Err(AccountsError::InsufficientScope { .. })), "{refused:?}");
    assert_eq!(scene.accounts.revoke_device(&scene.caller(&one), id(&one)), Ok(()));
    assert_eq!(scene.accounts.revoke_device(&scene.caller(&account), id(&other)), Ok(()));
    let unknown = DeviceId([9; 16]);
    let refused = scene.accounts.revoke_device(&scene.caller(&account), unknown);
    assert_eq!(refused, Err(AccountsError::UnknownDevice(unknown)));
    assert!(scene.accounts.devices(&scene.caller(&account)).expect("lists").is_empty());
}

#[test]
fn a_device_cannot_refresh_without_its_refresh_token() {
    let scene = Scene::open();
    let account = scene.register("10.0.0.1:1", "right").expect("registers");
    let device = scene.log_in(account.peer, "right", laptop(&[])).expect("logs in");
    assert!(scene.accounts.reissue(&scene.caller(&account)).is_ok());
    assert_eq!(scene.accounts.reissue(&scene.caller(&device)).map(|_| ()), Err(AccountsError::DeviceToken));
}

#[test]
fn registrations_and_logins_have_a_rate() {
    let scene = Scene::new(Registration::Open, RateSettings { registrations: 1, logins: 1, ..NO_LIMITS });
    let here = Some("10.0.0.9".parse().expect("an address"));
    scene.accounts.register(here, registration("10.0.0.1:1", "x")).expect("within the rate");
    let refused = scene.accounts.register(here, registration("10.0.0.2:1", "x")).map(|_| ());
    assert!(matches!(refused, Err(AccountsError::RateLimited(_))), "{refused:?}");
}

#[test]
fn what_another_tracker_wrote_counts_after_a_refresh() {
    let scene = Scene::open();
    let session = scene.register("10.0.0.1:1", "right").expect("registers");
    scene.write(AccountWrite::Suspend { id: session.peer, reason: "a test".to_owned() });
    assert!(!scene.accounts.is_suspended(session.peer));
    scene.accounts.refresh(&Blocking::declare()).expect("reads");
    assert!(scene.accounts.is_suspended(session.peer));
    assert_eq!(scene.accounts.revocations().accounts, [session.peer]);
}

#[test]
fn a_round_reads_changes_and_prunes_once_an_hour() {
    let mut scene = Scene::open();
    scene.accounts.settings.audit_log_age_max = Some(HOUR);
    let swarm = Arc::new(Swarm::new(swarm::Limits::default()));
    let access = AccessControl::new(Arc::clone(&scene.database), swarm, noon);
    let session = scene.register("a:1", "secret").expect("registers");
    let note_an_old_row = || {
        let detail = "old".to_owned();
        let entry = AuditEntry { actor: Actor::Operator, action: Action::Restored, account: None, detail };
        let write = Write::Account(AccountWrite::Note(entry));
        scene.store.write(NOON.minus(2 * HOUR), &[write], Durability::Synced).expect("commits");
    };
    let old_rows = || {
        let rows = scene.store.audit_log(&AuditQuery { account: None, limit: 100 }).expect("reads");
        rows.iter().filter(|row| row.detail == "old").count()
    };
    let begun = Instant::now();
    let mut maintenance = maintenance::Maintenance::default();
    note_an_old_row();
    scene.write(AccountWrite::Suspend { id: session.peer, reason: "a test".to_owned() });
    maintenance.round(&scene.accounts, &access, begun);
    assert!(scene.accounts.is_suspended(session.peer));
    assert_eq!(old_rows(), 0);
    note_an_old_row();
    maintenance.round(&scene.accounts, &access, begun + HOUR / 2);
    assert_eq!(old_rows(), 1, "not due yet");
    maintenance.round(&scene.accounts, &access, begun + HOUR);
    assert_eq!(old_rows(), 0);
}
