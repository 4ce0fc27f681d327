//! `POST /api/v1/grants`: leave to fetch a file, which the peers that serve it check without asking. From memory; signing is what it costs.

use peernet_engine::ids::FileHash;
use peernet_protos::limits::GRANT_MORE_MAX;
use peernet_protos::rest::{GrantReply, GrantRequest};

use super::files::access::unknown_file;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::keys::GrantWish;
use crate::store::policies::Access;
use crate::wire;

/// 404 `unknown_file` for files that nobody shares at the moment and for those that are not for the caller: the same answer.
pub fn issue(app: &App, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: GrantRequest = json_body(request)?;
    if body.more.len() > GRANT_MORE_MAX {
        let message = format!("more may name at most {GRANT_MORE_MAX} files");
        return Err(ApiError::bad_request("too_many_files", message));
    }
    let file = wire::file_hash(&body.file_hash)?;
    let more = body.more.iter().map(|file| wire::file_hash(file)).collect::<Result<Vec<_>, _>>()?;
    let mut public = true;
    for file in std::iter::once(&file).chain(&more) {
        public &= access(app, caller, *file)? == Access::Public;
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| ApiError::internal())?;
    let now = (app.clock)();
    let token = app.keys.issue_grant(now, &GrantWish { peer: caller.peer, file, more, public, id });
    let renew_in_seconds = token.expires_at.saturating_sub(now.as_secs()) / 4;
    let reply = GrantReply { grant: token.text, expires_at: token.expires_at, renew_in_seconds };
    Ok(Reply::json(200, &reply).with_header("Cache-Control", "no-store"))
}

fn access(app: &App, caller: &Caller, file: FileHash) -> Result<Access, ApiError> {
    let access = app.policies.access(file, caller.peer).ok_or_else(unknown_file)?;
    let is_known = access != Access::Public || app.swarm.version_of(file).is_some();
    if is_known { Ok(access) } else { Err(unknown_file()) }
}
