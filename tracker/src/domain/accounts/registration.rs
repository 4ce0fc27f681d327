//! Admission of new accounts: open, by invite code, or closed. An address that is registered already logs in instead.

use super::invites::hash_code;
use super::{Accounts, AccountsError, Result};
use crate::store::invites::CodeHash;
use peernet_threads::Blocking;

/// The longest invite code in characters; the OpenAPI file states it.
const INVITE_CHARS_MAX: usize = 128;

/// The rule that decides which clients may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Any client.
    Open,
    /// Clients with an invite code.
    Invite,
    /// No client.
    Closed,
}

/// Refuses a text that is too long for a code, whether or not a code is needed.
pub(super) fn check_length(invite: Option<&str>) -> Result<()> {
    match invite.is_some_and(|code| code.chars().count() > INVITE_CHARS_MAX) {
        true => Err(AccountsError::InviteTooLong),
        false => Ok(()),
    }
}

impl Accounts {
    /// The invite that a new account uses up, if it needs one. It is checked before a password is hashed for it, and used in
    /// the transaction that makes the account.
    pub(super) fn admit(&self, invite: Option<&str>) -> Result<Option<CodeHash>> {
        match self.settings.registration {
            Registration::Open => Ok(None),
            Registration::Closed => Err(AccountsError::RegistrationClosed),
            Registration::Invite => {
                let code = invite.map(str::trim).filter(|code| !code.is_empty());
                let code = code.ok_or(AccountsError::InviteRequired)?;
                self.check_invite(hash_code(code)).map(Some)
            }
        }
    }

    fn check_invite(&self, code_hash: CodeHash) -> Result<CodeHash> {
        let found = self.services.database.read(&Blocking::declare(), |store| store.invite(&code_hash))?;
        let is_good = found.is_some_and(|invite| invite.is_good(self.now()));
        if is_good { Ok(code_hash) } else { Err(AccountsError::InvalidInvite) }
    }
}
