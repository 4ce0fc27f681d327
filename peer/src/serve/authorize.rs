//! Authorizes calls: reads the caller's certificate and grant, and asks [`peernet_engine::access::authorize`] for the
//! decision.
//!
//! A grant travels as `authorization: Bearer …` in a call's metadata. To verify its signature takes some 50 µs, so that
//! is done on disk threads only.

use peernet_engine::access::{self, Authorization, Credentials, GrantError, RequestedFile};
use peernet_engine::ids::FileHash;

use super::caller::Caller;
use super::{Core, Refusal, RefusalCode};
use crate::access::{BEARER, GRANT_BYTES_MAX};
use crate::clock::unix_now;

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

    /// Decides whether the caller may fetch a file, whether or not the file is here. A grant counts only on a
    /// connection that proves the caller's account.
    pub(super) fn authorize(&self, core: &Core, file: FileHash) -> Result<Authorization, Refusal> {
        let credentials = self.credentials(core).unwrap_or(Credentials::None);
        let is_shared_here = || core.catalog.find(file, None).is_some();
        let requested = RequestedFile {
            hash: file,
            visibility: core.catalog.visibility(file),
            // It matters only beside a grant of an unknown key, and the look costs a lock.
            is_shared_here: has_unknown_key(&credentials) && is_shared_here(),
        };
        access::authorize(unix_now(), requested, &credentials).map_err(refusal)
    }

    /// Verifies the grant; `None` without a grant, without a proven account, or outside a swarm.
    fn credentials(&self, core: &Core) -> Option<Credentials> {
        let grant = self.grant.as_ref()?;
        let caller = self.caller.peer()?;
        let membership = core.membership.as_ref()?;
        let verified = membership.tracker_keys().verify(grant);
        if verified == Err(GrantError::UnknownKey) {
            membership.request_tracker_keys();
        }
        Some(Credentials::Grant { caller, verified })
    }
}

fn has_unknown_key(credentials: &Credentials) -> bool {
    matches!(credentials, Credentials::Grant { verified: Err(GrantError::UnknownKey), .. })
}

/// Decides whether a call that was authorized when it began may go on.
pub(super) fn recheck(core: &Core, file: FileHash, authorization: Authorization) -> Result<(), Refusal> {
    authorization.recheck(unix_now(), core.catalog.visibility(file)).map_err(refusal)
}

fn refusal(refusal: access::Refusal) -> Refusal {
    match refusal {
        access::Refusal::NotShared => Refusal::not_shared(),
        access::Refusal::NoLongerPublic => {
            Refusal::new(RefusalCode::PermissionDenied, "this file is not public any more")
        }
        // The key may be known in a moment, so the caller may try again.
        access::Refusal::Grant(error @ GrantError::UnknownKey) => {
            Refusal::new(RefusalCode::Unavailable, error.to_string())
        }
        access::Refusal::Grant(error) => Refusal::new(RefusalCode::PermissionDenied, error.to_string()),
    }
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

    #[test]
    fn each_reason_of_the_engine_has_its_code_and_text() {
        use RefusalCode::{NotFound, PermissionDenied, Unavailable};
        let grant = |error: GrantError| access::Refusal::Grant(error);
        for (reason, code, text) in [
            (access::Refusal::NotShared, NotFound, "this peer does not share that file".to_owned()),
            (access::Refusal::NoLongerPublic, PermissionDenied, "this file is not public any more".to_owned()),
            (grant(GrantError::UnknownKey), Unavailable, GrantError::UnknownKey.to_string()),
            (grant(GrantError::Malformed), PermissionDenied, GrantError::Malformed.to_string()),
            (grant(GrantError::Forged), PermissionDenied, GrantError::Forged.to_string()),
            (grant(GrantError::Expired), PermissionDenied, GrantError::Expired.to_string()),
            (grant(GrantError::OtherAccount), PermissionDenied, GrantError::OtherAccount.to_string()),
            (grant(GrantError::OtherFile), PermissionDenied, GrantError::OtherFile.to_string()),
            (grant(GrantError::BeforeRestriction), PermissionDenied, GrantError::BeforeRestriction.to_string()),
        ] {
            assert_eq!(refusal(reason), Refusal::new(code, text));
        }
    }

    #[test]
    fn a_header_is_cut_between_letters_and_keeps_one_byte_too_many() {
        for (letters, expected) in [
            ("x".repeat(GRANT_BYTES_MAX), GRANT_BYTES_MAX),
            ("x".repeat(GRANT_BYTES_MAX + 1), GRANT_BYTES_MAX + 1),
            ("x".repeat(GRANT_BYTES_MAX + 2), GRANT_BYTES_MAX + 1),
            // A letter of two bytes that crosses the bound is left out whole.
            (format!("{}\u{e9}", "x".repeat(GRANT_BYTES_MAX)), GRANT_BYTES_MAX),
            (format!("{}\u{e9}", "x".repeat(GRANT_BYTES_MAX - 1)), GRANT_BYTES_MAX + 1),
        ] {
            let presented = Presented::new(Caller::Plaintext, Some(format!("{BEARER}{letters}").as_bytes()));
            assert_eq!(presented.grant.map(|grant| grant.len()), Some(expected));
        }
        let replaced = Presented::new(Caller::Nameless, Some(b"Bearer old")).with_grant("new".to_owned());
        assert_eq!((replaced.caller, replaced.grant.as_deref()), (Caller::Nameless, Some("new")));
    }
}
