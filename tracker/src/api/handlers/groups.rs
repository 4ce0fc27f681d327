//! Groups, named lists of accounts to share files with: `/api/v1/groups…`.

use peernet_engine::access::GroupId;
use peernet_engine::ids::PeerId;
use peernet_protos::limits::{GROUP_NAME_BYTES_MAX, MEMBERS_MAX};
use peernet_protos::rest::{GroupReply, GroupRequest, GroupSummary, GroupsReply, StatusReply};

use crate::api::handlers::AccessCalls;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::store::policies::{Group, PolicyWrite};
use peernet_door::{Reply, Request};

/// `GET /api/v1/groups`.
pub fn list(calls: &AccessCalls, caller: &Caller, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let groups = calls.access.groups(caller.peer)?.into_iter();
    let groups = groups.map(|group| GroupSummary { name: group.name, members: group.members.len() as u64 });
    Ok(Reply::json(200, &GroupsReply { groups: groups.collect() }))
}

/// `GET /api/v1/groups/{name}`, or 404 `unknown_group`.
pub fn show(calls: &AccessCalls, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let Group { name, members, .. } = calls.access.group(caller.peer, args.text("name"))?;
    Ok(shown(name, &members))
}

fn shown(name: String, members: &[PeerId]) -> Reply {
    Reply::json(200, &GroupReply { name, members: members.iter().map(ToString::to_string).collect() })
}

/// `PUT /api/v1/groups/{name}`: makes a group or replaces its members. 404 `unknown_account`; 413 `too_many_members`, `too_many_groups`;
/// 422 `invalid_group_name`.
pub fn put(calls: &AccessCalls, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let name = group_name(args.text("name"))?;
    let body: GroupRequest = json_body(request)?;
    let members = members(&body.members)?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| ApiError::internal())?;
    let group = Group { id: GroupId(id), owner: caller.peer, name: name.clone(), members: members.clone() };
    calls.access.change(PolicyWrite::PutGroup(group))?;
    Ok(shown(name, &members))
}

fn group_name(name: &str) -> Result<String, ApiError> {
    if name.is_empty() || name.len() > GROUP_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = "a group's name must be 1 to 64 bytes without control characters";
        return Err(ApiError::unprocessable("invalid_group_name", message));
    }
    Ok(name.to_owned())
}

/// `DELETE /api/v1/groups/{name}`: ends all sharing with the group. 404 `unknown_group`.
pub fn delete(calls: &AccessCalls, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    calls.access.change(PolicyWrite::DeleteGroup { owner: caller.peer, name: args.text("name").to_owned() })?;
    Ok(Reply::json(200, &StatusReply { status: "deleted".to_owned() }))
}

/// Parses account ids, sorts them and removes duplicates. 400 `invalid_peer_id`, 413 `too_many_members`.
pub(super) fn members(ids: &[String]) -> Result<Vec<PeerId>, ApiError> {
    if ids.len() > MEMBERS_MAX {
        return Err(ApiError::new(413, "too_many_members", format!("at most {MEMBERS_MAX} accounts may be named")));
    }
    let parse = |id: &String| {
        id.parse::<PeerId>().map_err(|error| ApiError::bad_request("invalid_peer_id", format!("{id:.40}: {error}")))
    };
    let mut members = ids.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    members.sort_unstable();
    members.dedup();
    Ok(members)
}
