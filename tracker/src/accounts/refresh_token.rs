//! Refresh tokens as they travel: 256 random bits behind a prefix by which they are found where they should not be. Never stored.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

use super::random;
use crate::api::ApiError;
use crate::store::devices::TokenHash;

const PREFIX: &str = "pnr_";
/// Each half is more than anybody can guess; `store::devices` says what they are for.
const HALF_BYTES: usize = 16;

/// A refresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken([u8; 2 * HALF_BYTES]);

impl fmt::Debug for RefreshToken {
    /// Without the token itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

impl RefreshToken {
    /// The first of a new family. 500 `internal` where the system gives no randomness.
    pub(super) fn fresh() -> Result<Self, ApiError> {
        random().map(Self)
    }

    /// Another one of the same family.
    pub(super) fn successor(&self) -> Result<Self, ApiError> {
        let mut token = Self::fresh()?;
        token.0[..HALF_BYTES].copy_from_slice(&self.0[..HALF_BYTES]);
        Ok(token)
    }

    /// What came from a client; `None` for what is no such token in its one form.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// As it travels.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&self.0))
    }

    /// SHA-256 of the half that all of its family share.
    pub(super) fn family_hash(&self) -> TokenHash {
        Sha256::digest(&self.0[..HALF_BYTES]).into()
    }

    /// SHA-256 of all of it.
    pub(super) fn hash(&self) -> TokenHash {
        Sha256::digest(self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_and_comes_back_and_nothing_else_is_one() {
        let token = RefreshToken::fresh().expect("randomness");
        let text = token.text();
        assert_eq!((text.len(), RefreshToken::parse(&text)), (47, Some(token)));
        let longer = format!("{text}AA");
        // Its last character has spare bits, which must be none.
        let spare = format!("{}{}", &text[..46], if text.ends_with('B') { 'C' } else { 'B' });
        for other in ["", "pnr_", "pnr_AAAA", &text[4..], &longer, &spare, &text.to_uppercase(), "pnr_é"] {
            assert_eq!(RefreshToken::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_successor_is_another_of_the_same_family() {
        let token = RefreshToken::fresh().expect("randomness");
        let (next, other) = (token.successor().expect("randomness"), RefreshToken::fresh().expect("randomness"));
        assert_eq!(next.family_hash(), token.family_hash());
        assert_ne!(next.hash(), token.hash());
        assert_ne!(other.family_hash(), token.family_hash());
        assert!(!format!("{token:?}").contains(&token.text()[4..10]));
    }
}
