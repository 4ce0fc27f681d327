//! The decision of a serving peer: may this caller fetch this file?

use super::{Grant, GrantError, KnownVisibility, Permission};
use crate::ids::{FileHash, PeerId};

/// The file that a caller asks for, as the serving peer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedFile {
    /// The file's hash.
    pub hash: FileHash,
    /// The visibility of the file, as far as this node knows it.
    pub visibility: KnownVisibility,
    /// Whether this peer shares it.
    pub is_shared_here: bool,
}

/// The credentials that a caller presents with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// No grant, or a grant on a connection that does not prove the caller's account.
    None,
    /// A grant on a connection that proves the caller's account.
    Grant {
        /// The account that the connection proves.
        caller: PeerId,
        /// The grant's claims, or the error in its form or signature.
        verified: Result<Grant, GrantError>,
    },
}

/// The ground on which a call may proceed. It is checked again while the call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization {
    /// The file is public.
    Public,
    /// The caller presented a grant.
    Granted(Permission),
}

/// The reason that a call may not proceed, or must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The caller presented no grant and the file is not public. It is answered as if there were no such file.
    NotShared,
    /// The file was public when the call began, and it no longer is.
    NoLongerPublic,
    /// The caller presented a grant that does not count.
    Grant(GrantError),
}

/// Decides whether a caller may fetch a file at `now`, in seconds since 1970-01-01 UTC.
///
/// A grant that is presented has to count, also for a public file. There is one exception: a grant whose key is not
/// known here cannot be told from a forged one, and a public file that is shared here is served without a grant as
/// well. A file that is not shared here is refused like a restricted one, so that the answer does not tell which it is.
pub fn authorize(now: u64, file: RequestedFile, credentials: &Credentials) -> Result<Authorization, Refusal> {
    let is_public = file.visibility == KnownVisibility::Public;
    match credentials {
        Credentials::None if is_public => Ok(Authorization::Public),
        Credentials::None => Err(Refusal::NotShared),
        Credentials::Grant { caller, verified: Ok(grant) } => {
            let permission = grant.check(now, *caller, file.hash, file.visibility).map_err(Refusal::Grant)?;
            Ok(Authorization::Granted(permission))
        }
        Credentials::Grant { verified: Err(GrantError::UnknownKey), .. } if is_public && file.is_shared_here => {
            Ok(Authorization::Public)
        }
        Credentials::Grant { verified: Err(error), .. } => Err(Refusal::Grant(*error)),
    }
}

impl Authorization {
    /// Decides whether a call that was authorized earlier may go on at `now`. A grant is not needed while the file is
    /// public, so an expired one ends no call then.
    pub fn recheck(self, now: u64, visibility: KnownVisibility) -> Result<(), Refusal> {
        match self {
            _ if visibility == KnownVisibility::Public => Ok(()),
            Self::Public => Err(Refusal::NoLongerPublic),
            Self::Granted(permission) => permission.check(now, visibility).map_err(Refusal::Grant),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KnownVisibility::{Public, Restricted, Unknown};
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const CALLER: PeerId = PeerId([1; 16]);
    const FILE: FileHash = FileHash([1; 32]);
    const EVERY: [KnownVisibility; 3] = [Public, Restricted, Unknown];

    fn permission() -> Permission {
        Permission { expires_at: NOW + 60, issued_as_public: false }
    }

    fn grant() -> Grant {
        Grant { account: Some(CALLER), files: vec![FILE], expires_at: NOW + 60, issued_as_public: false }
    }

    fn present(verified: Result<Grant, GrantError>) -> Credentials {
        Credentials::Grant { caller: CALLER, verified }
    }

    /// Asks a peer that shares the file, or does not.
    fn ask(visibility: KnownVisibility, shared: bool, credentials: &Credentials) -> Result<Authorization, Refusal> {
        authorize(NOW, RequestedFile { hash: FILE, visibility, is_shared_here: shared }, credentials)
    }

    #[test]
    fn without_a_grant_only_public_files_are_served() {
        for (visibility, expected) in [
            (Public, Ok(Authorization::Public)),
            (Restricted, Err(Refusal::NotShared)),
            (Unknown, Err(Refusal::NotShared)),
        ] {
            for shared in [true, false] {
                assert_eq!(ask(visibility, shared, &Credentials::None), expected, "{visibility:?} {shared}");
            }
        }
    }

    #[test]
    fn a_grant_that_counts_opens_every_file_it_names() {
        for visibility in EVERY {
            for shared in [true, false] {
                let found = ask(visibility, shared, &present(Ok(grant())));
                assert_eq!(found, Ok(Authorization::Granted(permission())), "{visibility:?} {shared}");
            }
        }
    }

    #[test]
    fn a_grant_that_does_not_count_is_refused_for_public_files_too() {
        let expired = Grant { expires_at: NOW, ..grant() };
        let theirs = Grant { account: Some(PeerId([2; 16])), ..grant() };
        let elsewhere = Grant { files: vec![FileHash([9; 32])], ..grant() };
        for (verified, expected) in [
            (Ok(expired), GrantError::Expired),
            (Ok(theirs), GrantError::OtherAccount),
            (Ok(elsewhere), GrantError::OtherFile),
            (Err(GrantError::Malformed), GrantError::Malformed),
            (Err(GrantError::Forged), GrantError::Forged),
        ] {
            for visibility in EVERY {
                let found = ask(visibility, true, &present(verified.clone()));
                assert_eq!(found, Err(Refusal::Grant(expected)), "{verified:?} {visibility:?}");
            }
        }
    }

    #[test]
    fn an_unknown_key_matters_only_where_a_grant_is_needed() {
        let refused = Err(Refusal::Grant(GrantError::UnknownKey));
        for (visibility, shared, expected) in [
            (Public, true, Ok(Authorization::Public)),
            (Public, false, refused),
            (Restricted, true, refused),
            (Restricted, false, refused),
            (Unknown, true, refused),
            (Unknown, false, refused),
        ] {
            let found = ask(visibility, shared, &present(Err(GrantError::UnknownKey)));
            assert_eq!(found, expected, "{visibility:?} {shared}");
        }
    }

    #[test]
    fn a_running_call_ends_when_its_ground_is_gone() {
        let granted = Authorization::Granted(permission());
        let from_public = Authorization::Granted(Permission { issued_as_public: true, ..permission() });
        let grant_error = |error| Err(Refusal::Grant(error));
        for (ground, now, visibility, expected) in [
            (Authorization::Public, NOW, Public, Ok(())),
            (Authorization::Public, NOW, Restricted, Err(Refusal::NoLongerPublic)),
            (Authorization::Public, NOW, Unknown, Err(Refusal::NoLongerPublic)),
            (granted, NOW, Restricted, Ok(())),
            (granted, NOW, Unknown, Ok(())),
            (granted, NOW + 60, Restricted, grant_error(GrantError::Expired)),
            (granted, NOW + 60, Unknown, grant_error(GrantError::Expired)),
            (granted, NOW + 60, Public, Ok(())),
            (from_public, NOW, Unknown, Ok(())),
            (from_public, NOW, Restricted, grant_error(GrantError::BeforeRestriction)),
        ] {
            assert_eq!(ground.recheck(now, visibility), expected, "{ground:?} {now} {visibility:?}");
        }
    }
}
