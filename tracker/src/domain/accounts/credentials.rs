//! Checking a password under the lock on guessing.

use std::net::IpAddr;

use peernet_engine::guesses::Locked;
use peernet_engine::ids::PeerId;
use peernet_threads::Blocking;

use super::lock::name_of;
use super::{Accounts, Result};
use crate::ops::counters::Counters;
use crate::ops::log;
use crate::store::accounts::AccountWrite;
use crate::store::audit_log::{Action, Actor, AuditEntry};
use crate::store::{Account, Durability, Write};

/// A password, the account that it is for, and where it came from.
pub(super) struct Credentials<'a> {
    pub(super) remote: Option<IpAddr>,
    /// `None` for an account that does not exist.
    pub(super) account: Option<&'a Account>,
    /// The name that was typed; counts where there is no account.
    pub(super) typed: &'a str,
    pub(super) password: String,
}

impl Accounts {
    /// Returns whether the password is right. Fails if the account is suspended, but only for a caller that knows its password.
    pub(super) fn check_password(&self, credentials: Credentials<'_>) -> Result<bool> {
        let Credentials { remote, account, typed, password } = credentials;
        let services = &self.services;
        let id = account.map(|account| account.id);
        // Without a limit by address, all clients may come from one proxy, and their address says nothing about them.
        let address = remote.filter(|_| services.limits.tells_addresses_apart());
        let attempt =
            self.lock.begin(self.now(), name_of(id, typed), address).map_err(super::AccountsError::TooManyAttempts)?;
        let is_right = services.passwords.verify(
            &Blocking::declare(),
            password,
            account.map(|account| account.password_hash.clone()),
        )?;
        if let Some(locked) = attempt.end(is_right) {
            self.note_lock(id, remote, locked);
        }
        if !is_right {
            Counters::count(&services.counters.login_failed);
        } else if let Some(id) = id {
            self.refuse_suspended(id)?;
        }
        Ok(is_right)
    }

    /// Tells the operator, in the audit log. The client's answer does not depend on it.
    fn note_lock(&self, account: Option<PeerId>, remote: Option<IpAddr>, locked: Locked) {
        let what = match locked {
            Locked::Pair => "one address at one account",
            Locked::Account => "one account from many addresses",
            Locked::Origin => "one address at many accounts",
        };
        let from = remote.map_or_else(|| "here".to_owned(), |remote| remote.to_string());
        let detail = format!("{what}, last from {from}");
        let entry = AuditEntry { actor: Actor::Client, action: Action::LoginLocked, account, detail };
        let write = Write::Account(AccountWrite::Note(entry));
        if let Err(error) = self.services.database.writer.write(&Blocking::declare(), vec![write], Durability::Relaxed)
        {
            log::warn("accounts", "a lock on password guessing is missing in the audit log", &[("why", &error)]);
        }
    }
}
