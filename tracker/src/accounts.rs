//! Accounts: registering, logging in, changing a password, and which token generation is in force.
//!
//! Passwords are hashed and compared in their own pool; what lies in memory is only the generation of accounts that called lately, so
//! that an authenticated request needs no database.

mod cache;
mod certificate;
pub mod devices;
mod lock;
mod refresh_token;
mod registration;
mod revocations;
mod revoked;
mod suspended;
pub mod upkeep;

use std::net::IpAddr;

use peernet_engine::guesses::Locked;
use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::{CertificateBody, LoginRequest, PasswordRequest, RegisterRequest};

use crate::api::{ApiError, Caller, peer_address};
use crate::app::{App, Counters};
use crate::keys::Token;
use crate::log;
use crate::passwords::check_length;
use crate::store::registry::{AccountWrite, Action, Actor, AuditEntry, CodeHash};
use crate::store::{Account, Durability, Write, Written};
use cache::{Generations, is_fresh};
pub use certificate::issue as issue_certificate;
use devices::{DeviceSession, Wish};
use lock::{Lock, name_of};
pub use refresh_token::RefreshToken;
pub use revocations::Revocations;
use revoked::RevokedDevices;
use suspended::Suspended;

/// Generations in memory, and who guessed passwords.
#[derive(Debug, Default)]
pub struct Accounts {
    generations: Generations,
    lock: Lock,
    suspended: Suspended,
    revoked: RevokedDevices,
}

/// An account and a fresh token for it.
#[derive(Debug)]
pub struct Session {
    /// The account.
    pub peer: PeerId,
    /// Its new token.
    pub token: Token,
    /// Its new certificate, where one was asked for.
    pub certificate: Option<CertificateBody>,
    /// Whether the account was made just now.
    pub created: bool,
    /// What a device is given beside.
    pub device: Option<DeviceSession>,
}

impl Accounts {
    /// The account's generation, `None` for an unknown account. While the store does not answer, what is in memory counts.
    pub fn generation(&self, app: &App, peer: PeerId) -> Result<Option<u32>, ApiError> {
        let now = (app.clock)();
        let remembered = self.generations.find(peer);
        match remembered {
            Some((generation, read_at)) if is_fresh(now, read_at) => Ok(Some(generation)),
            _ => self.read_generation(app, now, peer).or_else(|error| match remembered {
                // For a while: while the store is away, not every request may wait to hear that it is.
                Some((generation, _)) if error.status == 503 => {
                    self.generations.remember((app.clock)(), peer, generation);
                    Ok(Some(generation))
                }
                _ => Err(error),
            }),
        }
    }

    /// Whether an account is suspended, as it was at most a few seconds ago. From memory; cheap enough for every source of every lookup.
    pub fn is_suspended(&self, peer: PeerId) -> bool {
        self.suspended.contains(peer)
    }

    /// Whether a device was ended. Known at once where it was ended here, else within a few seconds; from memory.
    pub fn is_revoked(&self, device: DeviceId) -> bool {
        self.revoked.contains(device)
    }

    /// Whose certificates count no more.
    pub fn revocations(&self) -> Revocations {
        Revocations::of(&self.suspended, &self.revoked)
    }

    /// How many accounts are in memory.
    pub fn remembered(&self) -> usize {
        self.generations.len()
    }

    fn read_generation(&self, app: &App, now: UnixMillis, peer: PeerId) -> Result<Option<u32>, ApiError> {
        let account = app.permits.with(|| app.store.account(peer))?;
        let generation = account.map(|account| account.generation);
        if let Some(generation) = generation {
            self.generations.remember(now, peer, generation);
        }
        Ok(generation)
    }
}

/// Makes an account. An address that is registered already logs in with the same password and is 409 `address_taken` with
/// another. Version 1 requires address and password; with `"protocol": 2` the address may be left out. 429 `rate_limited` and, for an
/// address that is registered, `too_many_attempts`; 403 `suspended`, and where registration is not open `registration_closed`,
/// `invite_required` and `invalid_invite`.
pub fn register(app: &App, remote: Option<IpAddr>, request: RegisterRequest) -> Result<Session, ApiError> {
    app.limits.check_registration(remote)?;
    let wants_address = request.protocol.unwrap_or(1) < 2;
    let address = request.address.as_deref().filter(|text| !text.is_empty()).map(peer_address).transpose()?;
    let password = request.password.ok_or_else(|| missing("password"))?;
    if address.is_none() && wants_address {
        return Err(missing("address"));
    }
    check_length(&password)?;
    registration::check_length(request.invite.as_deref())?;
    certificate::check(request.csr.as_deref())?;
    let wish = devices::check(request.device)?;
    let session = match find_by_address(app, address.as_deref())? {
        Some(owner) => log_in_owner(app, remote, owner, password, wish)?,
        None => {
            let invite = registration::admit(app, request.invite.as_deref())?;
            let password_hash = app.passwords.hash(password.clone())?;
            create(app, remote, NewAccount { address, password, password_hash, invite, wish })?
        }
    };
    certificate::added(app, session, request.csr.as_deref())
}

/// What an account is made of.
struct NewAccount {
    address: Option<String>,
    password: String,
    password_hash: String,
    invite: Option<CodeHash>,
    wish: Option<Wish>,
}

fn create(app: &App, remote: Option<IpAddr>, new: NewAccount) -> Result<Session, ApiError> {
    let NewAccount { address, password, password_hash, invite, wish } = new;
    let now = (app.clock)();
    let account = Account { id: new_peer_id()?, address, password_hash, generation: 0, created_at: now };
    let peer = account.id;
    let (device, given) = devices::introduce(app, peer, wish.as_ref())?.unzip();
    let write = match invite {
        None => Write::CreateAccount(account),
        Some(code_hash) => Write::Account(AccountWrite::CreateInvited { account, code_hash }),
    };
    // In one transaction; where the account is not made, there is none that the device could be of.
    let device = device.map(|device| Write::Account(AccountWrite::AddDevice { device, generation: 0 }));
    let written = app.writer.write(std::iter::once(write).chain(device).collect(), Durability::Synced)?;
    match written.into_iter().next().ok_or_else(ApiError::internal)? {
        Written::InviteRefused => Err(registration::refused()),
        // Someone else registered the address a moment ago.
        Written::AddressTaken(owner) => log_in_owner(app, remote, *owner, password, wish),
        _ => {
            Counters::count(&app.counters.registered);
            Ok(Session { created: true, ..session(app, peer, 0, given) })
        }
    }
}

fn log_in_owner(
    app: &App,
    remote: Option<IpAddr>,
    owner: Account,
    password: String,
    wish: Option<Wish>,
) -> Result<Session, ApiError> {
    let typed = "";
    if is_right(app, Candidate { remote, account: Some(&owner), typed, password })? {
        let device = devices::log_in(app, owner.id, owner.generation, wish.as_ref())?;
        return Ok(session(app, owner.id, owner.generation, device));
    }
    let message = "this address is registered with another password: log in with that one, or register another address";
    Err(ApiError::conflict("address_taken", message))
}

/// Checks a password and issues a token. 401 `invalid_credentials`, in the same time, for unknown accounts and wrong
/// passwords; 429 `rate_limited`, `too_many_attempts`, for both alike too; 403 `suspended`; 409 `password_changed` while a device logs in.
pub fn log_in(app: &App, remote: Option<IpAddr>, request: LoginRequest) -> Result<Session, ApiError> {
    app.limits.check_login(remote)?;
    certificate::check(request.csr.as_deref())?;
    let wish = devices::check(request.device)?;
    let (account, typed) = match (request.peer_id, request.address) {
        (Some(id), None) => (find_by_id(app, &id)?, id.to_ascii_lowercase()),
        (None, Some(address)) => {
            let address = peer_address(&address)?;
            (find_by_address(app, Some(&address))?, address)
        }
        _ => return Err(ApiError::bad_request("invalid_body", "log in with either peer_id or address")),
    };
    let candidate = Candidate { remote, account: account.as_ref(), typed: &typed, password: request.password };
    let right = is_right(app, candidate)?;
    match account {
        Some(account) if right => {
            let device = devices::log_in(app, account.id, account.generation, wish.as_ref())?;
            Counters::count(&app.counters.logged_in);
            let session = session(app, account.id, account.generation, device);
            certificate::added(app, session, request.csr.as_deref())
        }
        _ => Err(ApiError::unauthorized("invalid_credentials", "unknown account or wrong password")),
    }
}

/// Who wants in, and with what.
struct Candidate<'a> {
    remote: Option<IpAddr>,
    account: Option<&'a Account>,
    typed: &'a str,
    password: String,
}

/// Checks a password under the lock on guessing. Whoever knows it hears 403 `suspended` where the account is.
fn is_right(app: &App, candidate: Candidate<'_>) -> Result<bool, ApiError> {
    let Candidate { remote, account, typed, password } = candidate;
    let id = account.map(|account| account.id);
    // Without a limit by address, addresses tell nobody apart: that is the setting for a place behind a proxy.
    let told_apart = remote.filter(|_| app.config.logins_per_address > 0);
    let attempt = app.accounts.lock.begin((app.clock)(), name_of(id, typed), told_apart)?;
    let right = app.passwords.verify(password, account.map(|account| account.password_hash.clone()))?;
    if let Some(locked) = attempt.end(right) {
        note_lock(app, id, remote, locked);
    }
    if !right {
        Counters::count(&app.counters.login_failed);
    } else if let Some(id) = id {
        refuse_suspended(app, id)?;
    }
    Ok(right)
}

/// For the operator. The guesser's answer does not depend on it.
fn note_lock(app: &App, account: Option<PeerId>, remote: Option<IpAddr>, locked: Locked) {
    let what = match locked {
        Locked::Pair => "one address at one account",
        Locked::Account => "one account from many addresses",
        Locked::Origin => "one address at many accounts",
    };
    let detail = format!("{what}, last from {}", remote.map_or_else(|| "here".to_owned(), |remote| remote.to_string()));
    let entry = AuditEntry { actor: Actor::Client, action: Action::LoginLocked, account, detail };
    let written = app.writer.write(vec![Write::Account(AccountWrite::Note(entry))], Durability::Relaxed);
    if let Err(error) = written {
        log::warn("accounts", "wrong passwords are slowed down, which could not be written down", &[("why", &error)]);
    }
}

/// 403 `suspended`.
pub(crate) fn refuse_suspended(app: &App, peer: PeerId) -> Result<(), ApiError> {
    let message = "this account is suspended; the tracker's operator knows why";
    if app.accounts.is_suspended(peer) { Err(ApiError::new(403, "suspended", message)) } else { Ok(()) }
}

/// Sets a new password and raises the generation: every earlier token stops working at once, and every device is logged out; the caller's
/// comes back as another one where it says so. 403 `wrong_password`; 409
/// `password_changed` when somebody else changed it in between; 429 `rate_limited`, `too_many_attempts`.
pub fn change_password(
    app: &App,
    caller: &Caller,
    remote: Option<IpAddr>,
    request: PasswordRequest,
) -> Result<Session, ApiError> {
    app.limits.check_login(remote)?;
    check_length(&request.new_password)?;
    let wish = devices::check(request.device)?;
    let account = app.permits.with(|| app.store.account(caller.peer))?.ok_or_else(|| unknown_account(caller))?;
    let (typed, password) = ("", request.old_password);
    if !is_right(app, Candidate { remote, account: Some(&account), typed, password })? {
        return Err(ApiError::new(403, "wrong_password", "old_password is wrong"));
    }
    let password_hash = app.passwords.hash(request.new_password)?;
    let (device, given) = devices::introduce(app, caller.peer, wish.as_ref())?.unzip();
    let write = Write::SetPassword { id: caller.peer, generation: account.generation, password_hash, device };
    match write_one(app, write)? {
        Written::Stale => Err(password_changed()),
        _ => Ok(session(app, caller.peer, account.generation + 1, given)),
    }
}

fn password_changed() -> ApiError {
    ApiError::conflict("password_changed", "the password was changed in the meantime")
}

/// A fresh token for a caller whose token is still good. 409 `device_token` for a device, which has a refresh token for that: else it
/// would last as long as it likes.
pub fn refresh(app: &App, caller: &Caller) -> Result<Session, ApiError> {
    if caller.device.is_some() {
        let message = "a device renews its token with its refresh token, at /api/v1/tokens/refresh";
        return Err(ApiError::conflict("device_token", message));
    }
    let token = app.keys.issue((app.clock)(), caller);
    Ok(Session { peer: caller.peer, token, certificate: None, created: false, device: None })
}

fn session(app: &App, peer: PeerId, generation: u32, device: Option<DeviceSession>) -> Session {
    let now = (app.clock)();
    app.accounts.generations.remember(now, peer, generation);
    let account = Caller::account(peer, generation);
    let caller =
        device.as_ref().map_or(account, |device| Caller { device: Some(device.id), scopes: device.scopes, ..account });
    Session { peer, token: app.keys.issue(now, &caller), certificate: None, created: false, device }
}

fn write_one(app: &App, write: Write) -> Result<Written, ApiError> {
    let mut written = app.writer.write(vec![write], Durability::Synced)?;
    written.pop().ok_or_else(ApiError::internal)
}

fn find_by_id(app: &App, id: &str) -> Result<Option<Account>, ApiError> {
    let id = id.parse().map_err(|error| ApiError::bad_request("invalid_peer_id", format!("peer_id: {error}")))?;
    app.permits.with(|| app.store.account(id))
}

fn find_by_address(app: &App, address: Option<&str>) -> Result<Option<Account>, ApiError> {
    address.map_or(Ok(None), |address| app.permits.with(|| app.store.account_by_address(address)))
}

fn new_peer_id() -> Result<PeerId, ApiError> {
    random().map(PeerId::from_random)
}

/// 500 `internal` where the system gives no randomness.
fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::internal())?;
    Ok(bytes)
}

fn missing(what: &str) -> ApiError {
    ApiError::bad_request("invalid_body", format!("{what} is required"))
}

/// A caller's account was there when the token was checked; accounts are never deleted.
pub(crate) fn unknown_account(caller: &Caller) -> ApiError {
    ApiError::not_found("unknown_peer", format!("there is no account {}", caller.peer))
}
