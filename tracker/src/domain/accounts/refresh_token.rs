//! Refresh tokens: 256 random bits behind a prefix by which scanners find leaked ones. The tracker stores only hashes.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

use super::{Result, random};
use crate::store::devices::TokenHash;

const PREFIX: &str = "pnr_";
/// The bytes of each half, more than can be guessed. The first half is shared by a family; `store::devices` says why.
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
    /// Makes the first token of a new family.
    pub(super) fn fresh() -> Result<Self> {
        random().map(Self)
    }

    /// Makes another token of the same family.
    pub(super) fn successor(&self) -> Result<Self> {
        let mut token = Self::fresh()?;
        token.0[..HALF_BYTES].copy_from_slice(&self.0[..HALF_BYTES]);
        Ok(token)
    }

    /// Parses a token from a client; `None` unless it is in the one canonical form.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The text form.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&self.0))
    }

    /// SHA-256 of the half that its whole family shares.
    pub(super) fn family_hash(&self) -> TokenHash {
        Sha256::digest(&self.0[..HALF_BYTES]).into()
    }

    /// SHA-256 of the whole token.
    pub(super) fn hash(&self) -> TokenHash {
        Sha256::digest(self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form_and_other_texts_fail() {
        let token = RefreshToken::fresh().expect("randomness");
        let text = token.text();
        assert_eq!((text.len(), RefreshToken::parse(&text)), (47, Some(token)));
        let longer = format!("{text}AA");
        // The last character has spare bits, which must be zero.
        let spare = format!("{}{}", &text[..46], if text.ends_with('B') { 'C' } else { 'B' });
        for other in ["", "pnr_", "pnr_AAAA", &text[4..], &longer, &spare, &text.to_uppercase(), "pnr_é"] {
            assert_eq!(RefreshToken::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_successor_is_another_of_the_same_family() {
        let token = RefreshToken::fresh().expect("randomness");
        let next = token.successor().expect("randomness");
        let other = RefreshToken::fresh().expect("randomness");
        assert_eq!(next.family_hash(), token.family_hash());
        assert_ne!(next.hash(), token.hash());
        assert_ne!(other.family_hash(), token.family_hash());
        assert!(!format!("{token:?}").contains(&token.text()[4..10]));
    }
}
