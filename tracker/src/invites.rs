//! Invite codes: what stands on the paper, and what of it is kept.

use std::io;

use data_encoding::{BASE32_NOPAD, Encoding};
use sha2::{Digest as _, Sha256};

use crate::store::registry::CodeHash;

/// Bytes of randomness in a code: nobody guesses it, so its plain hash gives nothing away.
const CODE_BYTES: usize = 20;
/// Letters between two hyphens.
const GROUP: usize = 8;
/// Between a code and a fingerprint; `peernet register` knows it too.
const SEPARATOR: char = '@';
const ALPHABET: Encoding = BASE32_NOPAD;

/// A fresh code, to be shown once.
pub fn new_code() -> io::Result<String> {
    let mut bytes = [0; CODE_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let letters = ALPHABET.encode(&bytes).to_ascii_lowercase().into_bytes();
    let groups: Vec<_> = letters.chunks(GROUP).map(String::from_utf8_lossy).collect();
    Ok(groups.join("-"))
}

/// A code as it is handed out: with the fingerprint of the swarm's authority behind it, so that whoever registers with it meets the right
/// tracker.
pub fn with_fingerprint(code: &str, fingerprint: &str) -> String {
    format!("{code}{SEPARATOR}{fingerprint}")
}

/// What is kept of a code. Hyphens, spaces and the case of letters do not matter: codes are read out and typed. A fingerprint behind it is
/// for the client.
pub fn hash_code(code: &str) -> CodeHash {
    let code = code.split(SEPARATOR).next().unwrap_or_default();
    let letters: String = code.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
    Sha256::digest(letters.to_lowercase().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_random_and_may_be_typed_carelessly() {
        let (code, other) = (new_code().expect("random"), new_code().expect("random"));
        assert_ne!(code, other);
        assert_eq!((code.len(), code.matches('-').count()), (35, 3), "{code}");
        let careless = format!(" {} ", code.to_uppercase().replace('-', ""));
        assert_eq!(hash_code(&code), hash_code(&careless));
        assert_ne!(hash_code(&code), hash_code(&other));
        assert_eq!(hash_code(&with_fingerprint(&code, &"0f".repeat(32))), hash_code(&code));
    }
}
