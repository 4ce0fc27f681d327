//! Accounts: registering, logging in, changing a password, and which token generation is in force.
//!
//! Passwords are hashed and compared in their own pool; what lies in memory is only the generation of accounts that called lately, so
//! that an authenticated request needs no database.

mod cache;
mod lock;
mod registration;
mod suspended;
pub mod upkeep;

use std::net::IpAddr;

use peernet_engine::guesses::Locked;
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::{LoginRequest, PasswordRequest, RegisterRequest};

use crate::api::{ApiError, Caller, peer_address};
use crate::app::{App, Counters};
use crate::keys::Token;
use crate::log;
use crate::passwords::check_length;
use crate::store::registry::{AccountWrite, Action, Actor, AuditEntry, CodeHash};
use crate::store::{Account, Durability, Write, Written};
use cache::{Generations, is_fresh};
use lock::{Lock, name_of};
use suspended::Suspended;

/// Generations in memory, and who guessed passwords.
#[derive(Debug, Default)]
pub struct Accounts {
    generations: Generations,
    lock: Lock,
    suspended: Suspended,
}

/// An account and a fresh token for it.
#[derive(Debug)]
pub struct Session {
    /// The account.
    pub peer: PeerId,
    /// Its new token.
    pub token: Token,
    /// Whether the account was made just now.
    pub created: bool,
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
    if let Some(owner) = find_by_address(app, address.as_deref())? {
        return log_in_owner(app, remote, owner, password);
    }
    let invite = registration::admit(app, request.invite.as_deref())?;
    let password_hash = app.passwords.hash(password.clone())?;
    create(app, remote, NewAccount { address, password, password_hash, invite })
}

/// What an account is made of.
struct NewAccount {
    address: Option<String>,
    password: String,
    password_hash: String,
    invite: Option<CodeHash>,
}

fn create(app: &App, remote: Option<IpAddr>, new: NewAccount) -> Result<Session, ApiError> {
    let NewAccount { address, password, password_hash, invite } = new;
    let now = (app.clock)();
    let account = Account { id: new_peer_id()?, address, password_hash, generation: 0, created_at: now };
    let peer = account.id;
    let write = match invite {
        None => Write::CreateAccount(account),
        Some(code_hash) => Write::Account(AccountWrite::CreateInvited { account, code_hash }),
    };
    match write_one(app, write)? {
        Written::InviteRefused => Err(registration::refused()),
        // Someone else registered the address a moment ago.
        Written::AddressTaken(owner) => log_in_owner(app, remote, *owner, password),
        _ => {
            Counters::count(&app.counters.registered);
            Ok(Session { created: true, ..session(app, peer, 0) })
        }
    }
}

fn log_in_owner(app: &App, remote: Option<IpAddr>, owner: Account, password: String) -> Result<Session, ApiError> {
    let typed = "";
    if is_right(app, Candidate { remote, account: Some(&owner), typed, password })? {
        return Ok(session(app, owner.id, owner.generation));
    }
    let message = "this address is registered with another password: log in with that one, or register another address";
    Err(ApiError::conflict("address_taken", message))
}

/// Checks a password and issues a token. 401 `invalid_credentials`, in the same time, for unknown accounts and wrong
/// passwords; 429 `rate_limited`, `too_many_attempts`, for both alike too; 403 `suspended`.
pub fn log_in(app: &App, remote: Option<IpAddr>, request: LoginRequest) -> Result<Session, ApiError> {
    app.limits.check_login(remote)?;
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
            Counters::count(&app.counters.logged_in);
            Ok(session(app, account.id, account.generation))
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

/// Sets a new password and raises the generation: every earlier token stops working at once. 403 `wrong_password`; 409
/// `password_changed` when somebody else changed it in between; 429 `rate_limited`, `too_many_attempts`.
pub fn change_password(
    app: &App,
    caller: &Caller,
    remote: Option<IpAddr>,
    request: PasswordRequest,
) -> Result<Session, ApiError> {
    app.limits.check_login(remote)?;
    check_length(&request.new_password)?;
    let account = app.permits.with(|| app.store.account(caller.peer))?.ok_or_else(|| unknown_account(caller))?;
    let (typed, password) = ("", request.old_password);
    if !is_right(app, Candidate { remote, account: Some(&account), typed, password })? {
        return Err(ApiError::new(403, "wrong_password", "old_password is wrong"));
    }
    let password_hash = app.passwords.hash(request.new_password)?;
    let write = Write::SetPassword { id: caller.peer, generation: account.generation, password_hash };
    match write_one(app, write)? {
        Written::Stale => Err(ApiError::conflict("password_changed", "the password was changed in the meantime")),
        _ => Ok(session(app, caller.peer, account.generation + 1)),
    }
}

/// A fresh token for a caller whose token is still good.
pub fn refresh(app: &App, caller: &Caller) -> Session {
    let token = app.keys.issue((app.clock)(), caller.peer, caller.generation);
    Session { peer: caller.peer, token, created: false }
}

fn session(app: &App, peer: PeerId, generation: u32) -> Session {
    let now = (app.clock)();
    app.accounts.generations.remember(now, peer, generation);
    Session { peer, token: app.keys.issue(now, peer, generation), created: false }
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
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::internal())?;
    Ok(PeerId::from_random(bytes))
}

fn missing(what: &str) -> ApiError {
    ApiError::bad_request("invalid_body", format!("{what} is required"))
}

/// A caller's account was there when the token was checked; accounts are never deleted.
pub(crate) fn unknown_account(caller: &Caller) -> ApiError {
    ApiError::not_found("unknown_peer", format!("there is no account {}", caller.peer))
}
