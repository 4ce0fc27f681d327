//! What the tracker's signed tokens say (RFC 7519 names where they exist).

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
    /// What it may be used for, words with spaces between them (RFC 8693 section 4.2); absent means everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The scope of calls that only ask, of reports, and of certificates.
pub const SCOPE_READ: &str = "read";
/// The scope of calls that say what a peer shares.
pub const SCOPE_SHARE: &str = "share";
/// The scope of calls that change the account itself.
pub const SCOPE_ADMIN: &str = "admin";
