//! What the tracker's signed tokens say (RFC 7519 names where they exist).

use serde::{Deserialize, Serialize};

/// The `iss` of every token a tracker signs.
pub const ISSUER: &str = "peernet-tracker";

/// An access token: EdDSA-signed, sent as `Authorization: Bearer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}
