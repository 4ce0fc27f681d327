//! The certificates to trust and those revoked: `/api/v1/authority`, `/api/v1/revocations`.

use peernet_protos::rest::{AuthorityReply, RevocationsReply};

use crate::api::handlers::AccountCalls;
use crate::api::{ApiError, Caller, PathArgs};
use peernet_door::{Reply, Request};

/// The interval at which peers ask for the revocation list. With the 5 s in which a tracker learns of a change, that is well within
/// the minute that is promised.
const ASK_AGAIN_S: u64 = 20;

/// `GET /api/v1/authority`: the certificates that peers trust. They are public; clients compare the fingerprint.
pub fn authority(calls: &AccountCalls, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let fingerprint = calls.authority.fingerprint();
    let certificates = calls.authority.bundle();
    Ok(Reply::json(200, &AuthorityReply { fingerprint, certificates }))
}

/// `GET /api/v1/revocations`: the accounts and devices whose certificates are no longer valid. 304 where the caller has
/// this list already.
pub fn revocations(
    calls: &AccountCalls,
    _caller: &Caller,
    request: &Request,
    _args: &PathArgs,
) -> Result<Reply, ApiError> {
    let revocations = calls.accounts.revocations();
    let etag = format!("\"{}\"", revocations.tag);
    if request.head.header("if-none-match") == Some(etag.as_str()) {
        return Ok(Reply::empty(304).with_header("ETag", etag));
    }
    let accounts = revocations.accounts.iter().map(ToString::to_string).collect();
    let devices = revocations.devices.iter().map(ToString::to_string).collect();
    let reply = RevocationsReply { accounts, devices, ask_again_seconds: ASK_AGAIN_S };
    Ok(Reply::json(200, &reply).with_header("ETag", etag))
}
