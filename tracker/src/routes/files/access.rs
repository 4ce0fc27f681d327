//! Who may have a file: `/api/v1/files/{file_hash}/access`, and `DELETE /api/v1/files/{file_hash}`.

use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;
use peernet_protos::rest::{FileAccessReply, FileAccessRequest, StatusReply};

use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::routes::groups::{self, members};
use crate::store::policies::{Access, Policy, PolicyWrite, Refusal};
use crate::store::{StoreError, Written};

/// 404 for what nobody has announced, and for what is not for the caller: the same answer.
pub(in crate::routes) fn unknown_file() -> ApiError {
    ApiError::not_found("unknown_file", "nobody has announced this file")
}

/// 403 `restricted_file`: who announces in version 1's form serves everyone who asks.
pub(super) fn refuse_restricted(app: &App, file: FileHash) -> Result<(), ApiError> {
    if app.policies.is_restricted(file) {
        let message = "this file is not public: it cannot be shared with version 1's calls";
        return Err(ApiError::new(403, "restricted_file", message));
    }
    Ok(())
}

/// `GET`: to the owner, all of it; to others the file is unknown.
pub fn show(app: &App, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    shown(app, caller.peer, args.parse("file_hash", "invalid_file_hash")?)
}

fn shown(app: &App, owner: PeerId, file: FileHash) -> Result<Reply, ApiError> {
    let (policy, names) = app.permits.with(|| {
        let reader = app.store.policies()?;
        let policy = reader.policy(file)?;
        let named = policy.as_ref().is_some_and(|policy| policy.owner == owner && !policy.groups.is_empty());
        Ok::<_, StoreError>((policy, if named { reader.groups(owner)? } else { Vec::new() }))
    })?;
    let Policy { access, accounts, groups, .. } =
        policy.filter(|policy| policy.owner == owner).ok_or_else(unknown_file)?;
    let named = names.into_iter().filter(|group| groups.contains(&group.id)).map(|group| group.name);
    let reply = FileAccessReply {
        file_hash: file.to_string(),
        owner: owner.to_string(),
        access: access.as_str().to_owned(),
        accounts: accounts.iter().map(ToString::to_string).collect(),
        groups: named.collect(),
    };
    Ok(Reply::json(200, &reply))
}

/// `PUT`: says who may have a file from now on. 403 `not_owner`; 404 `unknown_account`, `unknown_group`; 413 `too_many_files`,
/// `too_many_members`, `too_many_groups`; 422 `invalid_access`.
pub fn put(app: &App, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file_hash: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let body: FileAccessRequest = json_body(request)?;
    let write = PolicyWrite::Set {
        file_hash,
        caller: caller.peer,
        access: access(&body)?,
        accounts: members(&body.accounts)?,
        groups: names(body.groups)?,
        files_max: app.config.files_per_account,
    };
    groups::change(app, write)?;
    shown(app, caller.peer, file_hash)
}

fn access(body: &FileAccessRequest) -> Result<Access, ApiError> {
    let invalid = |message| ApiError::unprocessable("invalid_access", message);
    let access = body.access.parse().ok().filter(|access| *access != Access::Withdrawn);
    let access = access.ok_or_else(|| invalid("access must be public, shared or private"))?;
    if access != Access::Shared && !(body.accounts.is_empty() && body.groups.is_empty()) {
        return Err(invalid("accounts and groups may only be named where access is shared"));
    }
    Ok(access)
}

/// In ascending order, each once.
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

/// `DELETE`: withdraws a file; once more is as good. 403 `not_owner`, 404 `unknown_file`.
pub fn withdraw(app: &App, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file_hash: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let files_max = app.config.files_per_account;
    match groups::write(app, PolicyWrite::Withdraw { file_hash, caller: caller.peer, files_max })? {
        // What is not for him is unknown to him here too.
        Written::Refused(Refusal::NotOwner) if app.policies.access(file_hash, caller.peer).is_none() => {
            Err(unknown_file())
        }
        Written::Refused(refusal) => Err(refusal.into()),
        _ => Ok(Reply::json(200, &StatusReply { status: Access::Withdrawn.as_str().to_owned() })),
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotOwner => Self::new(403, "not_owner", "this file is another account's"),
            Refusal::UnknownFile => unknown_file(),
            Refusal::UnknownAccount => Self::not_found("unknown_account", "one of the accounts does not exist"),
            Refusal::UnknownGroup => Self::not_found("unknown_group", "this account has no group of that name"),
            // Not 429: coming back later is no help.
            Refusal::TooManyFiles => {
                Self::new(413, "too_many_files", "this account says who has as many files as it may")
            }
            Refusal::TooManyGroups => {
                Self::new(413, "too_many_groups", format!("an account has at most {GROUPS_MAX} groups"))
            }
        }
    }
}
