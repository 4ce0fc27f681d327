//! Authorizes calls: decides whether a caller may have a file, by the grant that it presents or because the file is public.
//!
//! A grant travels as `authorization: Bearer …` in a call's metadata. To check one takes some 50 µs, so that is done on disk
//! threads only.

use peernet_engine::ids::FileHash;

use super::caller::Caller;
use super::{Core, Refusal, RefusalCode};
use crate::clock::unix_now;
use crate::grants::{BEARER, GRANT_BYTES_MAX, GrantError, Leave};
use crate::upload::Standing;

/// A caller, and the grant that it presents.
#[derive(Clone)]
pub(crate) struct Presented {
    /// As far as its connection proves it.
    pub(super) caller: Caller,
    /// Not verified yet. At most one byte longer than [`GRANT_BYTES_MAX`], which is enough to be refused.
    grant: Option<String>,
}

impl Presented {
    /// Takes the value of the call's authorization header, where it has one.
    pub(crate) fn new(caller: Caller, header: Option<&[u8]>) -> Self {
        let text = header.map(|value| std::str::from_utf8(value).ok().and_then(|text| text.strip_prefix(BEARER)));
        // A header in another form counts as a grant too, and is refused as malformed.
        let bounded = |text: &str| text[..text.floor_char_boundary(GRANT_BYTES_MAX + 1)].to_owned();
        Self { caller, grant: text.map(|text| bounded(text.unwrap_or_default())) }
    }

    /// The same caller with this grant instead, which is at most [`GRANT_BYTES_MAX`] long.
    pub(super) fn with_grant(&self, grant: String) -> Self {
        Self { caller: self.caller, grant: Some(grant) }
    }

    /// The same caller without a grant: version 1's call knows none.
    pub(super) fn without_grant(&self) -> Self {
        Self { caller: self.caller, grant: None }
    }

    /// Decides whether the caller may fetch a file, whether or not the file is here. Returns `None` where it presents no
    /// grant and any caller may have the file. A grant counts only on a connection that proves the caller's account.
    pub(super) fn authorize(&self, core: &Core, file: FileHash) -> Result<Option<Leave>, Refusal> {
        let standing = core.shelf.standing(file);
        let (Some(grant), Some(peer), Some(membership)) = (&self.grant, self.caller.peer(), &core.membership) else {
            // A refusal reads as if there were no such file.
            return if standing == Standing::Public { Ok(None) } else { Err(Refusal::not_shared()) };
        };
        let is_restricted = standing == Standing::Restricted;
        match membership.signers().check(unix_now(), grant, peer, (file, is_restricted)) {
            Ok(permit) => Ok(Some(permit)),
            Err(GrantError::UnknownKey) => {
                membership.wish_for_signers();
                // Such a grant cannot be told from a forged one. But a public file that is here would be served without
                // any grant. For other files the refusal does not tell a file that is not here from a restricted one.
                let is_public = standing == Standing::Public && core.shelf.held(file, None).is_some();
                if is_public { Ok(None) } else { Err(refusal(GrantError::UnknownKey)) }
            }
            Err(error) => Err(refusal(error)),
        }
    }
}

/// Decides whether a call that was authorized when it began may go on.
pub(super) fn recheck(core: &Core, file: FileHash, permit: Option<Leave>) -> Result<(), Refusal> {
    let standing = core.shelf.standing(file);
    match permit {
        _ if standing == Standing::Public => Ok(()),
        // The caller had the file without a grant a moment ago.
        None => Err(Refusal::new(RefusalCode::PermissionDenied, "this file is not public any more")),
        Some(permit) => permit.holds(unix_now(), standing == Standing::Restricted).map_err(refusal),
    }
}

fn refusal(error: GrantError) -> Refusal {
    let code = match error {
        // The key may be known in a moment, so the caller may try again.
        GrantError::UnknownKey => RefusalCode::Unavailable,
        _ => RefusalCode::PermissionDenied,
    };
    Refusal::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_grant_in_any_form_and_within_a_bound() {
        let long = format!("{BEARER}{}", "x".repeat(2 * GRANT_BYTES_MAX));
        for (header, expected) in [
            (None, None),
            (Some(&b"Bearer a.b.c"[..]), Some("a.b.c")),
            (Some(b"Basic abc"), Some("")),
            (Some(b"\xff\xfe"), Some("")),
            (Some(b""), Some("")),
        ] {
            let presented = Presented::new(Caller::Plaintext, header);
            assert_eq!(presented.grant.as_deref(), expected, "{header:?}");
            assert_eq!(presented.without_grant().grant, None);
        }
        let presented = Presented::new(Caller::Plaintext, Some(long.as_bytes()));
        assert_eq!(presented.grant.map(|grant| grant.len()), Some(GRANT_BYTES_MAX + 1));
    }
}
