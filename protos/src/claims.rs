//! Claims of the tracker's signed tokens (RFC 7519 names where they exist).

use serde::{Deserialize, Serialize};

/// The `iss` of every token a tracker signs.
pub const ISSUER: &str = "peernet-tracker";

/// An access token: EdDSA-signed, sent as `Authorization: Bearer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// The account's peer id, a UUID in its hyphenated lower-case form.
    pub sub: String,
    /// Issued at, seconds since 1970-01-01 UTC.
    pub iat: u64,
    /// Expires at, seconds since 1970-01-01 UTC.
    pub exp: u64,
    /// The account's token generation; a password change raises it, and older tokens stop working.
    #[serde(rename = "gen")]
    pub generation: u32,
    /// The device that it was issued to, a UUID like `sub`; absent where there is none.
    #[serde(default, rename = "dev", skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The permitted uses, words with spaces between them (RFC 8693 section 4.2). Absent means everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The `typ` of an access token's header: what a token is for is never guessed from its claims.
pub const ACCESS_TYP: &str = "JWT";
/// The `typ` of a grant's header.
pub const GRANT_TYP: &str = "peernet-grant+jwt";
/// The `aud` of every grant: peers check it, trackers do not take it.
pub const GRANT_AUDIENCE: &str = "peernet-peer";

/// A grant: permission for one account to fetch one file, EdDSA-signed by a tracker like access tokens, with the
/// header's `typ` [`GRANT_TYP`]. The peer that serves checks it offline against the trackers' key set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantClaims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// Always [`GRANT_AUDIENCE`].
    pub aud: String,
    /// The downloader's peer id, as in [`AccessClaims::sub`].
    pub sub: String,
    /// Issued at, seconds since 1970-01-01 UTC.
    pub iat: u64,
    /// Expires at, seconds since 1970-01-01 UTC.
    pub exp: u64,
    /// The token's id: a random UUID.
    pub jti: String,
    /// The file's hash in lower-case hex; of a collection the listing's.
    pub file: String,
    /// Files that it covers beside, a collection's pack; [`crate::limits::GRANT_MORE_MAX`] at most.
    pub more: Vec<String>,
    /// Whether anyone in the swarm may have all of them.
    pub public: bool,
}

/// The scope of calls that only ask, of reports, and of certificates.
pub const SCOPE_READ: &str = "read";
/// The scope of calls that say what a peer shares.
pub const SCOPE_SHARE: &str = "share";
/// The scope of calls that change the account itself.
pub const SCOPE_ADMIN: &str = "admin";
