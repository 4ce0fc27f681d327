//! The reasons why operations on accounts are refused or fail.

use std::fmt;
use std::time::Duration;

use peernet_engine::ids::{DeviceId, IdError, PeerId};

use super::passwords::PasswordError;
use crate::base::scopes::Scopes;
use crate::domain::address::AddressError;
use crate::domain::authority::CsrError;
use crate::domain::limits::RateLimited;
use crate::store::StoreError;

/// The reasons why operations on accounts are refused or fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountsError {
    /// The client makes too many requests of this kind.
    RateLimited(RateLimited),
    /// Too many wrong passwords; the next attempt passes after this time.
    TooManyAttempts(Duration),
    /// A required field is missing.
    Missing(&'static str),
    /// A login must name the account by exactly one of id and address.
    NameWanted,
    /// The address is no `host:port`.
    InvalidAddress(AddressError),
    /// The text is no account id.
    InvalidPeerId(IdError),
    /// The password cannot be used, or the pool did not check it.
    Password(PasswordError),
    /// The invite code is longer than any code.
    InviteTooLong,
    /// The tracker takes no new accounts.
    RegistrationClosed,
    /// The tracker takes new accounts only with an invite code.
    InviteRequired,
    /// The invite code is unknown, used up, expired or revoked. One error for all, so that codes cannot be probed.
    InvalidInvite,
    /// The address is registered with another password.
    AddressTaken,
    /// The account is unknown or the password is wrong. One error for both, so that accounts cannot be probed.
    InvalidCredentials,
    /// The old password in a change of password is wrong.
    WrongPassword,
    /// An operator has suspended the account.
    Suspended,
    /// The password was changed between reading the account and writing to it.
    PasswordChanged,
    /// A device asked for a new token without its refresh token.
    DeviceToken,
    /// The device's label is empty, too long, or has control characters.
    InvalidLabel,
    /// The device asked for a scope that does not exist.
    InvalidScope,
    /// The certificate signing request cannot be used.
    InvalidCsr(CsrError),
    /// The refresh token is unknown or has ended.
    InvalidRefreshToken,
    /// The refresh token had been replaced, so another client has a copy: its device was ended.
    RefreshTokenReused,
    /// The access token is none of ours, has ended, or was revoked.
    InvalidToken,
    /// The caller's token lacks the scope that the call needs.
    InsufficientScope {
        /// Any of these would do.
        needed: Scopes,
        /// The scopes of the token.
        held: Scopes,
    },
    /// The account has no such device.
    UnknownDevice(DeviceId),
    /// The account does not exist.
    UnknownAccount(PeerId),
    /// The operating system gives no randomness.
    NoRandomness,
    /// The database did not do it.
    Store(StoreError),
}

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited(limited) => limited.fmt(f),
            Self::TooManyAttempts(_) => f.write_str("too many wrong passwords"),
            Self::Missing(what) => write!(f, "{what} is required"),
            Self::NameWanted => f.write_str("log in with either peer_id or address"),
            Self::InvalidAddress(error) => error.fmt(f),
            Self::InvalidPeerId(error) => write!(f, "peer_id: {error}"),
            Self::Password(error) => error.fmt(f),
            Self::InviteTooLong => f.write_str("invite is longer than any code"),
            Self::RegistrationClosed => f.write_str("this tracker takes no new accounts"),
            Self::InviteRequired => f.write_str("this tracker takes new accounts only with an invite code"),
            Self::InvalidInvite => f.write_str("this invite code is unknown, used up, expired or revoked"),
            Self::AddressTaken => f.write_str(
                "this address is registered with another password: log in with that one, or register another address",
            ),
            Self::InvalidCredentials => f.write_str("unknown account or wrong password"),
            Self::WrongPassword => f.write_str("old_password is wrong"),
            Self::Suspended => f.write_str("this account is suspended; the tracker's operator knows why"),
            Self::PasswordChanged => f.write_str("the password was changed in the meantime"),
            Self::DeviceToken => {
                f.write_str("a device renews its token with its refresh token, at /api/v1/tokens/refresh")
            }
            Self::InvalidLabel => f.write_str("a device's label must be 1 to 64 bytes without control characters"),
            Self::InvalidScope => f.write_str("scopes must be some of read, share and admin"),
            Self::InvalidCsr(error) => error.fmt(f),
            Self::InvalidRefreshToken => f.write_str("this refresh token is unknown or has ended: log in again"),
            Self::RefreshTokenReused => f.write_str(
                "this refresh token was replaced already, so another client has a copy: the device was logged out",
            ),
            Self::InvalidToken => f.write_str("Invalid token"),
            Self::InsufficientScope { needed, held } => {
                write!(f, "this call needs the scope {needed}; this device's token is for: {held}")
            }
            Self::UnknownDevice(id) => write!(f, "this account has no device {id}"),
            Self::UnknownAccount(peer) => write!(f, "there is no account {peer}"),
            Self::NoRandomness => f.write_str("the operating system gives no randomness"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AccountsError {}

macro_rules! from {
    ($($error:ty => $variant:ident),+) => {
        $(impl From<$error> for AccountsError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })+
    };
}

from!(
    StoreError => Store,
    RateLimited => RateLimited,
    AddressError => InvalidAddress,
    PasswordError => Password,
    CsrError => InvalidCsr
);
