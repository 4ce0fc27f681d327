//! `POST /api/v1/grants`: a signed grant to fetch a file, which serving peers check offline. Answered from memory; its
//! cost is the signature.

use peernet_engine::access::Visibility;
use peernet_engine::ids::FileHash;
use peernet_protos::limits::GRANT_MORE_MAX;
use peernet_protos::rest::{GrantReply, GrantRequest};

use super::files::access::unknown_file;
use crate::api::handlers::AccessCalls;
use crate::api::wire;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::domain::keys::NewGrant;
use peernet_door::{Reply, Request};

/// Issues a grant. 404 `unknown_file` for files that no peer shares at the moment and for those that the caller may not
/// have: the same answer.
pub fn issue(calls: &AccessCalls, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: GrantRequest = json_body(request)?;
    if body.more.len() > GRANT_MORE_MAX {
        let message = format!("more may name at most {GRANT_MORE_MAX} files");
        return Err(ApiError::bad_request("too_many_files", message));
    }
    let file = wire::file_hash(&body.file_hash)?;
    let more = body.more.iter().map(|file| wire::file_hash(file)).collect::<Result<Vec<_>, _>>()?;
    let mut public = true;
    for file in std::iter::once(&file).chain(&more) {
        public &= access(calls, caller, *file)? == Visibility::Public;
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| ApiError::internal())?;
    let now = (calls.clock)();
    let token = calls.keys.issue_grant(now, &NewGrant { peer: caller.peer, file, more, public, id });
    let renew_in_seconds = token.expires_at.saturating_sub(now.as_secs()) / 4;
    let reply = GrantReply { grant: token.text, expires_at: token.expires_at, renew_in_seconds };
    Ok(Reply::json(200, &reply).with_header("Cache-Control", "no-store"))
}

fn access(calls: &AccessCalls, caller: &Caller, file: FileHash) -> Result<Visibility, ApiError> {
    let access = calls.access.visibility_for(file, caller.peer).ok_or_else(unknown_file)?;
    let is_known = access != Visibility::Public || calls.swarm.version_of(file).is_some();
    if is_known { Ok(access) } else { Err(unknown_file()) }
}
