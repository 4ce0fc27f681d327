//! The conditions that a grant has to meet. The program that knows the keys verifies the signature before.

use std::fmt;

use super::KnownVisibility;
use crate::ids::{FileHash, PeerId};

/// The claims of a grant whose signature is right: an account's permission to fetch some files until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The account that may fetch. `None` if the grant names none that this version can read.
    pub account: Option<PeerId>,
    /// The files that the account may fetch: a file, or a collection's listing and pack.
    pub files: Vec<FileHash>,
    /// When the grant expires, in seconds since 1970-01-01 UTC.
    pub expires_at: u64,
    /// Whether all of the files were public when the tracker issued the grant. Such a grant does not outlive that.
    pub issued_as_public: bool,
}

impl Grant {
    /// Checks every condition that the grant has to meet for `caller` to fetch `file` at `now`, in seconds since
    /// 1970-01-01 UTC.
    pub fn check(
        &self,
        now: u64,
        caller: PeerId,
        file: FileHash,
        visibility: KnownVisibility,
    ) -> Result<Permission, GrantError> {
        if self.account != Some(caller) {
            return Err(GrantError::OtherAccount);
        }
        if !self.files.contains(&file) {
            return Err(GrantError::OtherFile);
        }
        let permission = Permission { expires_at: self.expires_at, issued_as_public: self.issued_as_public };
        permission.check(now, visibility)?;
        Ok(permission)
    }
}

/// The part of a grant that still matters after the check of caller and file. It is checked again while a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// See [`Grant::expires_at`].
    pub expires_at: u64,
    /// See [`Grant::issued_as_public`].
    pub issued_as_public: bool,
}

impl Permission {
    /// Checks the two conditions that can change while a call runs: the time and the file's visibility.
    pub fn check(self, now: u64, visibility: KnownVisibility) -> Result<(), GrantError> {
        if self.expires_at <= now {
            return Err(GrantError::Expired);
        }
        if self.issued_as_public && visibility == KnownVisibility::Restricted {
            return Err(GrantError::BeforeRestriction);
        }
        Ok(())
    }
}

/// The reason that a grant is refused. The text reveals nothing that the caller does not know already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantError {
    /// The text is no grant.
    Malformed,
    /// The key that signed it is not known here. A tracker may have begun to use it a moment ago.
    UnknownKey,
    /// The signature is wrong.
    Forged,
    /// The grant has expired.
    Expired,
    /// The grant names another account.
    OtherAccount,
    /// The grant names other files.
    OtherFile,
    /// The grant was issued while the file was public, and the file is restricted now.
    BeforeRestriction,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the presented text is not a grant",
            Self::UnknownKey => "the grant is signed with a key that is not known here yet; try again",
            Self::Forged => "the grant is not signed by a tracker of this swarm",
            Self::Expired => "the grant has expired",
            Self::OtherAccount => "the grant is for another account",
            Self::OtherFile => "the grant is for another file",
            Self::BeforeRestriction => "the grant was issued while the file was public; it no longer is",
        })
    }
}

impl std::error::Error for GrantError {}

#[cfg(test)]
mod tests {
    use super::GrantError::{BeforeRestriction, Expired, OtherAccount, OtherFile};
    use super::KnownVisibility::{Public, Restricted, Unknown};
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const CALLER: PeerId = PeerId([1; 16]);
    const FILE: FileHash = FileHash([1; 32]);
    const PACK: FileHash = FileHash([2; 32]);

    /// For a collection's two files, good for another minute.
    fn grant() -> Grant {
        Grant { account: Some(CALLER), files: vec![FILE, PACK], expires_at: NOW + 60, issued_as_public: false }
    }

    #[track_caller]
    fn check(grant: &Grant, file: FileHash, visibility: KnownVisibility, expected: Result<(), GrantError>) {
        let found = grant.check(NOW, CALLER, file, visibility);
        let permission = Permission { expires_at: grant.expires_at, issued_as_public: grant.issued_as_public };
        assert_eq!(found, expected.map(|()| permission), "{grant:?} {visibility:?}");
    }

    #[test]
    fn a_grant_counts_for_its_account_files_and_time() {
        for visibility in [Public, Restricted, Unknown] {
            check(&grant(), FILE, visibility, Ok(()));
            check(&grant(), PACK, visibility, Ok(()));
            check(&grant(), FileHash([3; 32]), visibility, Err(OtherFile));
            check(&Grant { files: Vec::new(), ..grant() }, FILE, visibility, Err(OtherFile));
            check(&Grant { account: Some(PeerId([2; 16])), ..grant() }, FILE, visibility, Err(OtherAccount));
            check(&Grant { account: None, ..grant() }, FILE, visibility, Err(OtherAccount));
        }
    }

    #[test]
    fn a_grant_ends_with_the_second_it_names() {
        for (expires_at, expected) in
            [(0, Err(Expired)), (NOW - 1, Err(Expired)), (NOW, Err(Expired)), (NOW + 1, Ok(())), (u64::MAX, Ok(()))]
        {
            check(&Grant { expires_at, ..grant() }, FILE, Restricted, expected);
        }
    }

    #[test]
    fn a_grant_from_public_times_ends_with_the_restriction() {
        let grant = Grant { issued_as_public: true, ..grant() };
        check(&grant, FILE, Public, Ok(()));
        check(&grant, FILE, Unknown, Ok(()));
        check(&grant, FILE, Restricted, Err(BeforeRestriction));
    }

    #[test]
    fn the_account_is_checked_first_and_the_time_before_visibility() {
        // A caller with another account's grant must not learn from the error what else is wrong with it.
        let wrong = Grant { account: None, files: Vec::new(), expires_at: 0, issued_as_public: true };
        check(&wrong, FILE, Restricted, Err(OtherAccount));
        let wrong = Grant { account: Some(CALLER), ..wrong };
        check(&wrong, FILE, Restricted, Err(OtherFile));
        let wrong = Grant { files: vec![FILE], ..wrong };
        check(&wrong, FILE, Restricted, Err(Expired));
    }
}
