//! Access control at the tracker: grants for downloads, the policies of owners, and their groups.

use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::rest::{
    ACCESS_PRIVATE, ACCESS_PUBLIC, ACCESS_SHARED, ACCESS_WITHDRAWN, FileAccessReply, FileAccessRequest, GrantReply,
    GrantRequest, GroupReply, GroupRequest, GroupsReply, StatusReply,
};

use super::http::Call;
use super::url::percent_encoded;
use super::{LISTING_ANSWER, TrackerClient, TrackerError};
use crate::access::{AccessPolicy, GRANT_BYTES_MAX, GrantToken};
use crate::clock::unix_now;

impl From<&AccessPolicy> for FileAccessRequest {
    fn from(policy: &AccessPolicy) -> Self {
        let (accounts, groups) = match policy {
            AccessPolicy::Shared { accounts, groups } => (accounts.as_slice(), groups.clone()),
            _ => Default::default(),
        };
        let accounts = accounts.iter().map(ToString::to_string).collect();
        Self { access: policy.as_str().to_owned(), accounts, groups }
    }
}

/// An error is a clause for a message.
impl TryFrom<FileAccessRequest> for AccessPolicy {
    type Error = String;

    fn try_from(said: FileAccessRequest) -> Result<Self, String> {
        match said.access.as_str() {
            ACCESS_PUBLIC => Ok(Self::Public),
            ACCESS_PRIVATE => Ok(Self::Private),
            ACCESS_WITHDRAWN => Ok(Self::Withdrawn),
            ACCESS_SHARED => {
                let account = |id: &String| id.parse().map_err(|error| format!("{id}: {error}"));
                let accounts = said.accounts.iter().map(account).collect::<Result<_, String>>()?;
                Ok(Self::Shared { accounts, groups: said.groups })
            }
            _ => Err("a word that this version does not know".to_owned()),
        }
    }
}

/// A group of the account, as a list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// The group's name; clean it before showing it on a terminal.
    pub name: String,
    /// The number of members.
    pub members: u64,
}

impl TrackerClient {
    /// Requests a grant for a file; `None` from a tracker that knows no grants. The error is 404 for a file that this
    /// account may not fetch, or that no peer shares.
    pub(crate) fn grant(&self, file_hash: FileHash) -> Result<Option<GrantToken>, TrackerError> {
        let request = GrantRequest { file_hash: file_hash.to_string(), more: Vec::new() };
        let call = Call { repeatable: true, ..Call::post("/api/v1/grants", &request) };
        let reply: GrantReply = match self.authorised(call) {
            Err(error) if error.lacks_call("unknown_file") => return Ok(None),
            reply => reply?,
        };
        if reply.grant.len() > GRANT_BYTES_MAX || reply.grant.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(TrackerError::Malformed("grant: it is none".to_owned()));
        }
        let renew_at = unix_now().saturating_add(reply.renew_in_seconds);
        Ok(Some(GrantToken { text: reply.grant, expires_at: reply.expires_at, renew_at }))
    }

    /// Returns the policy of a file. The tracker tells it to the owner alone.
    pub(crate) fn access(&self, file_hash: FileHash) -> Result<AccessPolicy, TrackerError> {
        let path = access_path(file_hash);
        let call = Call { answer_max: LISTING_ANSWER, ..Call::get(&path) };
        policy(self.authorised(call)?)
    }

    /// Sets the policy of a file.
    pub(crate) fn set_access(&self, file_hash: FileHash, policy: &AccessPolicy) -> Result<(), TrackerError> {
        if *policy == AccessPolicy::Withdrawn {
            return self.withdraw(file_hash);
        }
        let request = FileAccessRequest::from(policy);
        let path = access_path(file_hash);
        let call = Call { answer_max: LISTING_ANSWER, ..Call::put(&path, &request) };
        self.authorised::<FileAccessReply>(call).map(drop)
    }

    /// Withdraws a file: no peer may share or fetch it until its owner sets another policy.
    pub(crate) fn withdraw(&self, file_hash: FileHash) -> Result<(), TrackerError> {
        let path = format!("/api/v1/files/{file_hash}");
        self.authorised::<StatusReply>(Call::delete(&path)).map(drop)
    }

    /// The account's groups by name.
    pub(crate) fn groups(&self) -> Result<Vec<GroupInfo>, TrackerError> {
        let reply: GroupsReply = self.authorised(Call::get("/api/v1/groups"))?;
        let group = |group: peernet_protos::rest::GroupSummary| GroupInfo { name: group.name, members: group.members };
        Ok(reply.groups.into_iter().map(group).collect())
    }

    /// The members of a group of the account, in ascending order.
    pub(crate) fn group(&self, name: &str) -> Result<Vec<PeerId>, TrackerError> {
        let path = group_path(name);
        let reply: GroupReply = self.authorised(Call { answer_max: LISTING_ANSWER, ..Call::get(&path) })?;
        peers(&reply.members)
    }

    /// Makes a group, or replaces its members.
    pub(crate) fn put_group(&self, name: &str, members: &[PeerId]) -> Result<(), TrackerError> {
        let request = GroupRequest { members: members.iter().map(ToString::to_string).collect() };
        let path = group_path(name);
        let call = Call { answer_max: LISTING_ANSWER, ..Call::put(&path, &request) };
        self.authorised::<GroupReply>(call).map(drop)
    }

    /// Deletes a group: files that were shared with it no longer are.
    pub(crate) fn delete_group(&self, name: &str) -> Result<(), TrackerError> {
        self.authorised::<StatusReply>(Call::delete(&group_path(name))).map(drop)
    }
}

fn access_path(file_hash: FileHash) -> String {
    format!("/api/v1/files/{file_hash}/access")
}

fn group_path(name: &str) -> String {
    format!("/api/v1/groups/{}", percent_encoded(name))
}

fn policy(reply: FileAccessReply) -> Result<AccessPolicy, TrackerError> {
    let FileAccessReply { access, accounts, groups, .. } = reply;
    let said = FileAccessRequest { access, accounts, groups };
    said.try_into().map_err(|why| TrackerError::Malformed(format!("access: {why}")))
}

fn peers(ids: &[String]) -> Result<Vec<PeerId>, TrackerError> {
    let parse = |id: &String| id.parse().map_err(|error| TrackerError::Malformed(format!("peer_id: {error}")));
    ids.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_round_trips() {
        let peer = PeerId::from_random([1; 16]);
        let reply = |access: &str| FileAccessReply {
            access: access.to_owned(),
            accounts: vec![peer.to_string()],
            groups: vec!["lab".to_owned()],
            ..FileAccessReply::default()
        };
        let shared = AccessPolicy::Shared { accounts: vec![peer], groups: vec!["lab".to_owned()] };
        for expected in [AccessPolicy::Public, shared, AccessPolicy::Private, AccessPolicy::Withdrawn] {
            assert_eq!(policy(reply(expected.as_str())), Ok(expected));
        }
        assert!(policy(reply("secret")).is_err());
        assert_eq!(group_path("a b/ü"), "/api/v1/groups/a%20b%2F%C3%BC");
    }
}
