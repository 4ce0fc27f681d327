//! Access control at the peer: the files that it serves to a caller, and the grants that it presents to other peers.
//!
//! The decisions are in [`peernet_engine::access`]. This room keeps their inputs:
//!
//! - `tracker_keys`: the trackers' public keys, which verify the grants that callers present.
//! - `visibility_store`: the visibility of shared files, kept on the disk by `visibility_list`.
//! - `membership`: the certificate in use, the revoked accounts and devices, and the trackers' keys.
//! - `grant_cache`: the grant of one download, renewed while it runs.
//! - `policy`: the policies that this account declares for its own files.
//!
//! Non-public files are served only to callers that present a grant. Keys and visibility are kept on the disk, so this
//! works while no tracker answers, also after a restart. A presented grant must count even where none is needed.

mod grant_cache;
mod membership;
mod policy;
#[cfg(test)]
pub(crate) mod testing;
mod tracker_keys;
mod visibility_list;
mod visibility_store;

use std::fmt;

pub(crate) use grant_cache::GrantCache;
pub use membership::Membership;
pub use policy::AccessPolicy;
pub use tracker_keys::TrackerKeys;
pub(crate) use visibility_list::VisibilityError;
pub(crate) use visibility_store::VisibilityStore;

/// Longer grants are refused unread. Our trackers' grants are shorter than 1,000 bytes.
pub(crate) const GRANT_BYTES_MAX: usize = 4 << 10;

/// The key of a call's metadata under which a grant travels.
pub(crate) const AUTHORIZATION: &str = "authorization";
/// The text that precedes a grant there (RFC 6750).
pub(crate) const BEARER: &str = "Bearer ";

/// A grant of this node's own account, as the tracker issued it.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantToken {
    /// The signed text. Any program that holds it and the account's certificate may fetch the file.
    pub text: String,
    /// When it expires, in seconds since 1970-01-01 UTC.
    pub expires_at: u64,
    /// When to ask for the next one, in seconds since 1970-01-01 UTC.
    pub renew_at: u64,
}

impl fmt::Debug for GrantToken {
    /// Leaves out the text, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
