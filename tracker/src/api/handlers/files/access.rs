//! Access policies of files: `/api/v1/files/{file_hash}/access`, and `DELETE /api/v1/files/{file_hash}`.

use peernet_engine::access::Visibility;
use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;
use peernet_protos::rest::{FileAccessReply, FileAccessRequest, StatusReply};

use crate::api::handlers::AccessCalls;
use crate::api::handlers::groups::members;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::domain::access::{AccessControl, ShownPolicy};
use crate::store::policies::{PolicyWrite, SetAccess};
use peernet_door::{Reply, Request};

/// 404 for a file that no account has announced, and for one that the caller may not have: the same answer.
pub(in crate::api::handlers) fn unknown_file() -> ApiError {
    ApiError::not_found("unknown_file", "no account has announced this file")
}

/// 403 `restricted_file`: version 1 peers serve every caller, so they must not announce a file that is not public.
pub(super) fn refuse_restricted(access: &AccessControl, file: FileHash) -> Result<(), ApiError> {
    if access.is_restricted(file) {
        let message = "this file is not public: it cannot be shared with version 1's calls";
        return Err(ApiError::new(403, "restricted_file", message));
    }
    Ok(())
}

/// `GET`: shows the whole policy to its owner; for other accounts the file is unknown.
pub fn show(calls: &AccessCalls, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    shown(calls, caller.peer, args.parse("file_hash", "invalid_file_hash")?)
}

fn shown(calls: &AccessCalls, owner: PeerId, file: FileHash) -> Result<Reply, ApiError> {
    let ShownPolicy { policy, groups } = calls.access.policy(owner, file)?;
    let reply = FileAccessReply {
        file_hash: file.to_string(),
        owner: owner.to_string(),
        access: policy.visibility.as_str().to_owned(),
        accounts: policy.accounts.iter().map(ToString::to_string).collect(),
        groups,
    };
    Ok(Reply::json(200, &reply))
}

/// `PUT`: sets the policy of a file. 403 `not_owner`; 404 `unknown_account`, `unknown_group`; 413 `too_many_files`,
/// `too_many_members`, `too_many_groups`; 422 `invalid_access`.
pub fn put(calls: &AccessCalls, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file_hash: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let body: FileAccessRequest = json_body(request)?;
    let set = SetAccess {
        file_hash,
        caller: caller.peer,
        visibility: access(&body)?,
        accounts: members(&body.accounts)?,
        groups: names(body.groups)?,
        files_max: calls.files_per_account,
    };
    calls.access.change(PolicyWrite::Set(set))?;
    shown(calls, caller.peer, file_hash)
}

fn access(body: &FileAccessRequest) -> Result<Visibility, ApiError> {
    let invalid = |message| ApiError::unprocessable("invalid_access", message);
    let access = body.access.parse().ok().filter(|access| *access != Visibility::Withdrawn);
    let access = access.ok_or_else(|| invalid("access must be public, shared or private"))?;
    if access != Visibility::Shared && !(body.accounts.is_empty() && body.groups.is_empty()) {
        return Err(invalid("accounts and groups may only be named where access is shared"));
    }
    Ok(access)
}

/// Sorts group names and removes duplicates.
fn names(mut names: Vec<String>) -> Result<Vec<String>, ApiError> {
    if names.len() > GROUPS_MAX {
        return Err(ApiError::new(
            413,
            "too_many_groups",
            format!("a file is shared with at most {GROUPS_MAX} groups"),
        ));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// `DELETE`: withdraws a file; succeeds if it was withdrawn before. 403 `not_owner`, 404 `unknown_file`.
pub fn withdraw(calls: &AccessCalls, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file_hash: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    calls.access.withdraw(file_hash, caller.peer, calls.files_per_account)?;
    Ok(Reply::json(200, &StatusReply { status: Visibility::Withdrawn.as_str().to_owned() }))
}
