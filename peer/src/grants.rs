//! Grants: leave to fetch a file, which a tracker signs, a download shows, and whoever serves checks by itself.
//!
//! What is not public is served to nobody without one. A public file is served to every member, and a grant that is shown for it has to
//! be right all the same. The trackers' keys are kept on the disk, so that all of this goes on while no tracker answers.

mod signers;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;

pub use signers::{MalformedKeys, Signers};

/// Longer ones are refused unread: those of our trackers have under 1,000 bytes.
pub const GRANT_BYTES_MAX: usize = 4 << 10;

/// Under which name a grant travels in a call's metadata, and what stands before it there.
pub(crate) const AUTHORIZATION: &str = "authorization";
pub(crate) const BEARER: &str = "Bearer ";

/// A grant of this node's own account.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// As it travels: whoever has it, and the account's certificate, may fetch.
    pub text: String,
    /// When it ends, seconds since 1970-01-01 UTC.
    pub expires_at: u64,
    /// When to ask for the next one, likewise.
    pub renew_at: u64,
}

impl fmt::Debug for Grant {
    /// Without the grant itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What a grant that was checked for its caller and file allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// When it ends, seconds since 1970-01-01 UTC.
    pub expires_at: u64,
    /// Whether it was given while anyone might have the file: then it ends with that.
    pub public: bool,
}

impl Leave {
    /// Whether it is good at `now`, seconds since 1970-01-01 UTC. `restricted`: the file is known not to be public any more.
    pub fn holds(self, now: u64, restricted: bool) -> Result<(), GrantError> {
        match self {
            leave if leave.expires_at <= now => Err(GrantError::Expired),
            leave if restricted && leave.public => Err(GrantError::BeforeRestriction),
            _ => Ok(()),
        }
    }
}

/// Why a grant is not taken. The words are for the caller, who knows all of it anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantError {
    /// It is none.
    Malformed,
    /// Its key is not known here: a tracker may have begun to sign with it just now.
    UnknownKey,
    /// None of the swarm's trackers has signed it.
    Forged,
    /// It has ended.
    Expired,
    /// It is another account's.
    OtherAccount,
    /// It is for another file.
    OtherFile,
    /// It was given while anyone might have the file, which is not so any more.
    BeforeRestriction,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "what was shown is no grant",
            Self::UnknownKey => "the grant is signed with a key that is not known here yet; try again",
            Self::Forged => "the grant is not signed by a tracker of this swarm",
            Self::Expired => "the grant has expired",
            Self::OtherAccount => "the grant is another account's",
            Self::OtherFile => "the grant is for another file",
            Self::BeforeRestriction => "the grant is from when the file was public, and it is not any more",
        })
    }
}

impl std::error::Error for GrantError {}
