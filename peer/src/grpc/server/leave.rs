//! Whether a caller may have a file: by the grant that it shows, or because anyone may.
//!
//! Grants travel as `authorization: Bearer …` in a call's metadata. Their check costs some 50 µs, so it is made on disk threads only.

use grpcio::{RpcContext, RpcStatus, RpcStatusCode};
use peernet_engine::ids::FileHash;

use super::Core;
use super::calls::{not_shared, status};
use super::guard::Caller;
use crate::clock::unix_now;
use crate::grants::{AUTHORIZATION, BEARER, GRANT_BYTES_MAX, GrantError, Leave};
use crate::upload::Standing;

/// A caller, and what it shows.
#[derive(Clone)]
pub(super) struct Claim {
    /// As far as its connection proves it.
    pub(super) caller: Caller,
    /// Unchecked; no longer than [`GRANT_BYTES_MAX`], of a longer one the beginning, which is none.
    grant: Option<String>,
}

impl Claim {
    pub(super) fn of(context: &RpcContext<'_>) -> Self {
        let caller = Caller::of(context);
        let headers = context.request_headers().into_iter();
        let shown = headers.filter(|(name, _)| *name == AUTHORIZATION).map(|(_, value)| value).next();
        let text = shown.map(|value| std::str::from_utf8(value).ok().and_then(|text| text.strip_prefix(BEARER)));
        // What is something else is still shown, and refused as no grant.
        let bounded = |text: &str| text[..text.floor_char_boundary(GRANT_BYTES_MAX + 1)].to_owned();
        Self { caller, grant: text.map(|text| bounded(text.unwrap_or_default())) }
    }

    /// The same caller, who shows this one instead, which is within its bound.
    pub(super) fn with_grant(&self, grant: String) -> Self {
        Self { caller: self.caller, grant: Some(grant) }
    }

    /// The same caller, who shows nothing: version 1's call knows no grants.
    pub(super) fn without_grant(&self) -> Self {
        Self { caller: self.caller, grant: None }
    }

    /// What it may do with a file, whether that is here or not: `None` where it shows nothing and anyone may have the file. What it shows
    /// counts only where its connection proves whose it is.
    pub(super) fn leave(&self, core: &Core, file: FileHash) -> Result<Option<Leave>, RpcStatus> {
        let standing = core.shelf.standing(file);
        let (Some(grant), Some(peer), Some(membership)) = (&self.grant, self.caller.peer(), &core.membership) else {
            // As if there were no such file.
            return if standing == Standing::Public { Ok(None) } else { Err(not_shared()) };
        };
        let restricted = standing == Standing::Restricted;
        match membership.signers().check(unix_now(), grant, peer, (file, restricted)) {
            Ok(leave) => Ok(Some(leave)),
            Err(GrantError::UnknownKey) => {
                membership.wish_for_signers();
                // It could not be told from a forged one; but without any a public file would be served as well. What is not here is
                // answered as what is closed: who has no leave does not learn which it is.
                let is_public = standing == Standing::Public && core.shelf.held(file, None).is_some();
                if is_public { Ok(None) } else { Err(refusal(GrantError::UnknownKey)) }
            }
            Err(error) => Err(refusal(error)),
        }
    }
}

/// Whether a call that began with this leave may go on.
pub(super) fn is_good(core: &Core, file: FileHash, leave: Option<Leave>) -> Result<(), RpcStatus> {
    let standing = core.shelf.standing(file);
    match leave {
        _ if standing == Standing::Public => Ok(()),
        None => Err(closed()),
        Some(leave) => leave.holds(unix_now(), standing == Standing::Restricted).map_err(refusal),
    }
}

/// For a caller to whom it was open a moment ago.
fn closed() -> RpcStatus {
    status(RpcStatusCode::PERMISSION_DENIED, "this file is not public any more")
}

fn refusal(error: GrantError) -> RpcStatus {
    let code = match error {
        // It may be known in a moment.
        GrantError::UnknownKey => RpcStatusCode::UNAVAILABLE,
        _ => RpcStatusCode::PERMISSION_DENIED,
    };
    status(code, &error.to_string())
}
