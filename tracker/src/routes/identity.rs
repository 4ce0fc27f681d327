//! Whom members trust and whom no longer: `/api/v1/authority`, `/api/v1/revocations`.

use peernet_protos::rest::{AuthorityReply, RevocationsReply};

use crate::api::{ApiError, Caller, PathArgs};
use crate::app::App;
use crate::http::{Reply, Request};

/// How often members ask who was suspended. With the 5 s in which a tracker learns of it, well within the minute that is promised.
const ASK_AGAIN_S: u64 = 20;

/// `GET /api/v1/authority`: the certificates that members trust. Public by nature: who asks compares the fingerprint.
pub fn authority(app: &App, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let (fingerprint, certificates) = (app.authority.fingerprint(), app.authority.bundle());
    Ok(Reply::json(200, &AuthorityReply { fingerprint, certificates }))
}

/// `GET /api/v1/revocations`: whose certificates count no more. 304 where the caller has the list already.
pub fn revocations(app: &App, _caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let revocations = app.accounts.revocations();
    let etag = format!("\"{}\"", revocations.tag);
    if request.head.header("if-none-match") == Some(etag.as_str()) {
        return Ok(Reply::empty(304).with_header("ETag", etag));
    }
    let accounts = revocations.accounts.iter().map(ToString::to_string).collect();
    let devices = revocations.devices.iter().map(ToString::to_string).collect();
    let reply = RevocationsReply { accounts, devices, ask_again_seconds: ASK_AGAIN_S };
    Ok(Reply::json(200, &reply).with_header("ETag", etag))
}
