//! Accounts: registering, logging in, changing a password, and which tokens are in force.
//!
//! Passwords are hashed and compared in their own pool. The token generations of accounts that called lately are in memory,
//! so that an authenticated request needs no database.

mod certificate;
mod credentials;
pub mod devices;
mod error;
mod generations;
pub mod invites;
mod lock;
pub mod maintenance;
pub mod passwords;
mod refresh_token;
mod registration;
mod revocations;
mod revoked;
mod suspended;
#[cfg(test)]
mod tests;

use peernet_threads::Blocking;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::{CertificateBody, LoginRequest, PasswordRequest, RegisterRequest};

use crate::base::scopes::Scopes;
use crate::domain::address::peer_address;
use crate::domain::authority::Authority;
use crate::domain::database::Database;
use crate::domain::keys::{Caller, Keys, Token};
use crate::domain::limits::Limits;
use crate::ops::counters::Counters;
use crate::store::accounts::AccountWrite;
use crate::store::invites::CodeHash;
use crate::store::{Account, StoreError, Write, Written};
use credentials::Credentials;
use devices::{DeviceSession, NewLogin};
pub use error::AccountsError;
use generations::{Generations, is_fresh};
use lock::Lock;
use passwords::{Passwords, check_length};
pub use refresh_token::RefreshToken;
pub use registration::Registration;
pub use revocations::Revocations;
use revoked::RevokedDevices;
use suspended::Suspended;

type Result<T> = std::result::Result<T, AccountsError>;

/// The operator's rules for accounts.
#[derive(Debug, Clone, Copy)]
pub struct AccountSettings {
    /// The accounts that may register.
    pub registration: Registration,
    /// The lifetime of a refresh token that is not used.
    pub refresh_lifetime: Duration,
    /// The lifetime of a peer's certificate.
    pub certificate_lifetime: Duration,
    /// The age at which rows of the audit log are deleted; `None` keeps them.
    pub audit_log_age_max: Option<Duration>,
}

/// The parts that operations on accounts use.
pub struct Services {
    /// Reads and writes.
    pub database: Arc<Database>,
    /// Hashes and compares passwords.
    pub passwords: Arc<Passwords>,
    /// Bounds registrations and logins.
    pub limits: Arc<Limits>,
    /// Signs access tokens.
    pub keys: Arc<Keys>,
    /// Issues certificates.
    pub authority: Arc<Authority>,
    /// Counts registrations and logins.
    pub counters: Arc<Counters>,
    /// The time now.
    pub clock: fn() -> UnixMillis,
}

/// The accounts: operations on them, and what of them is in memory.
pub struct Accounts {
    settings: AccountSettings,
    services: Services,
    generations: Generations,
    lock: Lock,
    suspended: Suspended,
    revoked: RevokedDevices,
}

/// An account that is logged in, with its new tokens.
#[derive(Debug)]
pub struct Session {
    /// The account.
    pub peer: PeerId,
    /// The new access token of the account.
    pub token: Token,
    /// The new certificate, where one was requested.
    pub certificate: Option<CertificateBody>,
    /// Whether the account was made just now.
    pub created: bool,
    /// The device's refresh token, where a device logged in.
    pub device: Option<DeviceSession>,
}

/// An account that is about to be made.
struct NewAccount {
    address: Option<String>,
    password: String,
    invite: Option<CodeHash>,
    login: Option<NewLogin>,
}

impl Accounts {
    /// Accounts with these rules; nothing is in memory yet.
    pub fn new(settings: AccountSettings, services: Services) -> Self {
        Self {
            settings,
            services,
            generations: Generations::default(),
            lock: Lock::default(),
            suspended: Suspended::default(),
            revoked: RevokedDevices::default(),
        }
    }

    /// Makes an account. If the address is registered already, logs in with the same password and fails with
    /// [`AccountsError::AddressTaken`] for another one. Version 1 requires an address; version 2 may leave it out.
    pub fn register(&self, remote: Option<IpAddr>, request: RegisterRequest) -> Result<Session> {
        self.services.limits.check_registration(remote)?;
        let wants_address = request.protocol.unwrap_or(1) < 2;
        let address = request.address.as_deref().filter(|text| !text.is_empty()).map(peer_address).transpose()?;
        let password = request.password.ok_or(AccountsError::Missing("password"))?;
        if address.is_none() && wants_address {
            return Err(AccountsError::Missing("address"));
        }
        check_length(&password)?;
        registration::check_length(request.invite.as_deref())?;
        certificate::check(request.csr.as_deref())?;
        let login = devices::check(request.device)?;
        let session = match self.find_by_address(address.as_deref())? {
            Some(owner) => self.log_in_owner(remote, owner, password, login)?,
            None => {
                let invite = self.admit(request.invite.as_deref())?;
                self.create(remote, NewAccount { address, password, invite, login })?
            }
        };
        self.with_certificate(session, request.csr.as_deref())
    }

    fn create(&self, remote: Option<IpAddr>, new: NewAccount) -> Result<Session> {
        let NewAccount { address, password, invite, login } = new;
        let password_hash = self.services.passwords.hash(&Blocking::declare(), password.clone())?;
        let peer = PeerId::from_random(random()?);
        let account = Account { id: peer, address, password_hash, generation: 0, created_at: self.now() };
        let (device, given) = self.introduce(peer, login.as_ref())?.unzip();
        let write = Write::CreateAccount { account, invite };
        // In one transaction: if the account is not made, its device is not either.
        let device = device.map(|device| Write::Account(AccountWrite::AddDevice { device, generation: 0 }));
        let written =
            self.services.database.write(&Blocking::declare(), std::iter::once(write).chain(device).collect())?;
        match written.into_iter().next() {
            Some(Written::InviteRefused) => Err(AccountsError::InvalidInvite),
            // Another request has registered the address since it was looked up.
            Some(Written::AddressTaken(owner)) => self.log_in_owner(remote, *owner, password, login),
            Some(_) => {
                Counters::count(&self.services.counters.registered);
                Ok(Session { created: true, ..self.session(peer, 0, given) })
            }
            None => Err(StoreError::Failed("the store gave no outcome for a new account".to_owned()).into()),
        }
    }

    /// Logs in the owner of an address that a registration names again.
    fn log_in_owner(
        &self,
        remote: Option<IpAddr>,
        owner: Account,
        password: String,
        login: Option<NewLogin>,
    ) -> Result<Session> {
        let credentials = Credentials { remote, account: Some(&owner), typed: "", password };
        if !self.check_password(credentials)? {
            return Err(AccountsError::AddressTaken);
        }
        let device = self.log_device_in(owner.id, owner.generation, login.as_ref())?;
        Ok(self.session(owner.id, owner.generation, device))
    }

    /// Checks a password and issues tokens. Unknown accounts and wrong passwords get the same error after the same time.
    pub fn log_in(&self, remote: Option<IpAddr>, request: LoginRequest) -> Result<Session> {
        self.services.limits.check_login(remote)?;
        certificate::check(request.csr.as_deref())?;
        let login = devices::check(request.device)?;
        let (account, typed) = match (request.peer_id, request.address) {
            (Some(id), None) => (self.find_by_id(&id)?, id.to_ascii_lowercase()),
            (None, Some(address)) => {
                let address = peer_address(&address)?;
                (self.find_by_address(Some(&address))?, address)
            }
            _ => return Err(AccountsError::NameWanted),
        };
        let credentials = Credentials { remote, account: account.as_ref(), typed: &typed, password: request.password };
        let is_right = self.check_password(credentials)?;
        match account {
            Some(account) if is_right => {
                let device = self.log_device_in(account.id, account.generation, login.as_ref())?;
                Counters::count(&self.services.counters.logged_in);
                let session = self.session(account.id, account.generation, device);
                self.with_certificate(session, request.csr.as_deref())
            }
            _ => Err(AccountsError::InvalidCredentials),
        }
    }

    /// Sets a new password and raises the token generation: every earlier token stops working, and every device is logged
    /// out. If the caller names a device, it is logged in again as a new one.
    pub fn change_password(
        &self,
        caller: &Caller,
        remote: Option<IpAddr>,
        request: PasswordRequest,
    ) -> Result<Session> {
        self.services.limits.check_login(remote)?;
        check_length(&request.new_password)?;
        let login = devices::check(request.device)?;
        let account = self.account(caller.peer)?;
        let credentials = Credentials { remote, account: Some(&account), typed: "", password: request.old_password };
        if !self.check_password(credentials)? {
            return Err(AccountsError::WrongPassword);
        }
        let password_hash = self.services.passwords.hash(&Blocking::declare(), request.new_password)?;
        let (device, given) = self.introduce(caller.peer, login.as_ref())?.unzip();
        let write = Write::SetPassword { id: caller.peer, generation: account.generation, password_hash, device };
        match self.services.database.write_one(&Blocking::declare(), write)? {
            Written::Stale => Err(AccountsError::PasswordChanged),
            _ => Ok(self.session(caller.peer, account.generation + 1, given)),
        }
    }

    /// A fresh token for a caller whose token is still good. A device must use its refresh token instead: otherwise a stolen
    /// access token could renew itself for ever.
    pub fn reissue(&self, caller: &Caller) -> Result<Session> {
        if caller.device.is_some() {
            return Err(AccountsError::DeviceToken);
        }
        let token = self.services.keys.issue(self.now(), caller);
        Ok(Session { peer: caller.peer, token, certificate: None, created: false, device: None })
    }

    /// Checks that a caller's token is in force: its generation is current, its device is not revoked, and its account is
    /// not suspended. From memory while the account was read lately.
    pub fn check_caller(&self, caller: &Caller) -> Result<()> {
        let current = self.generation(caller.peer)?;
        if current != Some(caller.generation) || caller.device.is_some_and(|id| self.is_revoked(id)) {
            return Err(AccountsError::InvalidToken);
        }
        self.refuse_suspended(caller.peer)
    }

    /// The token generation of an account; `None` for an unknown account. While the store does not answer, what is in memory
    /// counts.
    pub fn generation(&self, peer: PeerId) -> Result<Option<u32>> {
        let now = self.now();
        let remembered = self.generations.find(peer);
        match remembered {
            Some((generation, read_at)) if is_fresh(now, read_at) => Ok(Some(generation)),
            _ => self.read_generation(now, peer).or_else(|error| match (remembered, error) {
                // Remembered anew: while the store is away, only one request per span waits for it in vain.
                (Some((generation, _)), StoreError::Busy(_) | StoreError::Unavailable(_)) => {
                    self.generations.remember(self.now(), peer, generation);
                    Ok(Some(generation))
                }
                (_, error) => Err(error.into()),
            }),
        }
    }

    /// Returns whether an account is suspended, as of a few seconds ago. From memory: cheap enough for every source of a lookup.
    pub fn is_suspended(&self, peer: PeerId) -> bool {
        self.suspended.contains(peer)
    }

    /// Returns whether a device was revoked: known at once if it was revoked here, otherwise within a few seconds. From memory.
    pub fn is_revoked(&self, device: DeviceId) -> bool {
        self.revoked.contains(device)
    }

    /// The accounts and devices whose certificates are no longer valid.
    pub fn revocations(&self) -> Revocations {
        Revocations::of(&self.suspended, &self.revoked)
    }

    /// The number of accounts in memory.
    pub fn remembered(&self) -> usize {
        self.generations.len()
    }

    /// Reads an account that must exist.
    pub fn account(&self, peer: PeerId) -> Result<Account> {
        let account = self.services.database.read(&Blocking::declare(), |store| store.account(peer))?;
        account.ok_or(AccountsError::UnknownAccount(peer))
    }

    fn refuse_suspended(&self, peer: PeerId) -> Result<()> {
        if self.is_suspended(peer) { Err(AccountsError::Suspended) } else { Ok(()) }
    }

    fn read_generation(&self, now: UnixMillis, peer: PeerId) -> std::result::Result<Option<u32>, StoreError> {
        let account = self.services.database.read(&Blocking::declare(), |store| store.account(peer))?;
        let generation = account.map(|account| account.generation);
        if let Some(generation) = generation {
            self.generations.remember(now, peer, generation);
        }
        Ok(generation)
    }

    fn session(&self, peer: PeerId, generation: u32, device: Option<DeviceSession>) -> Session {
        let now = self.now();
        self.generations.remember(now, peer, generation);
        let account = Caller::account(peer, generation);
        let caller = device.as_ref().map_or(account, |device| Caller {
            device: Some(device.id),
            scopes: device.scopes,
            ..account
        });
        let token = self.services.keys.issue(now, &caller);
        Session { peer, token, certificate: None, created: false, device }
    }

    fn find_by_id(&self, id: &str) -> Result<Option<Account>> {
        let id = id.parse().map_err(AccountsError::InvalidPeerId)?;
        Ok(self.services.database.read(&Blocking::declare(), |store| store.account(id))?)
    }

    fn find_by_address(&self, address: Option<&str>) -> Result<Option<Account>> {
        let Some(address) = address else { return Ok(None) };
        Ok(self.services.database.read(&Blocking::declare(), |store| store.account_by_address(address))?)
    }

    fn now(&self) -> UnixMillis {
        (self.services.clock)()
    }
}

/// Checks that a caller's token has one of the scopes `needed`.
pub fn check_scope(caller: &Caller, needed: Scopes) -> Result<()> {
    if caller.scopes.allow(needed) {
        Ok(())
    } else {
        Err(AccountsError::InsufficientScope { needed, held: caller.scopes })
    }
}

/// Random bytes of the operating system.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| AccountsError::NoRandomness)?;
    Ok(bytes)
}
