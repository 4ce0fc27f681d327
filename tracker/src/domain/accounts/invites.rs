//! Invite codes: making, printing, and hashing them. The tracker stores only hashes.

use std::io;

use data_encoding::{BASE32_NOPAD, Encoding};
use sha2::{Digest as _, Sha256};

use crate::store::invites::CodeHash;

/// The random bytes of a code: too many to guess, so a plain hash of it reveals nothing.
const CODE_BYTES: usize = 20;
/// The number of letters between two hyphens.
const GROUP: usize = 8;
/// The separator between a code and a fingerprint; `peernet register` uses it as well.
const SEPARATOR: char = '@';
const ALPHABET: Encoding = BASE32_NOPAD;

/// Makes a fresh code, to be shown once.
pub fn new_code() -> io::Result<String> {
    let mut bytes = [0; CODE_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let letters = ALPHABET.encode(&bytes).to_ascii_lowercase().into_bytes();
    let groups: Vec<_> = letters.chunks(GROUP).map(String::from_utf8_lossy).collect();
    Ok(groups.join("-"))
}

/// Appends the fingerprint of the swarm's authority to a code, so that a peer that registers with it reaches the right
/// tracker.
pub fn with_fingerprint(code: &str, fingerprint: &str) -> String {
    format!("{code}{SEPARATOR}{fingerprint}")
}

/// Hashes a code. Hyphens, spaces and the case of letters do not matter, because codes are read out and typed. A
/// fingerprint behind it is ignored: it is for the client.
pub fn hash_code(code: &str) -> CodeHash {
    let code = code.split(SEPARATOR).next().unwrap_or_default();
    let letters: String = code.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
    Sha256::digest(letters.to_lowercase().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_random_and_tolerates_careless_typing() {
        let code = new_code().expect("random");
        let other = new_code().expect("random");
        assert_ne!(code, other);
        assert_eq!((code.len(), code.matches('-').count()), (35, 3), "{code}");
        let careless = format!(" {} ", code.to_uppercase().replace('-', ""));
        assert_eq!(hash_code(&code), hash_code(&careless));
        assert_ne!(hash_code(&code), hash_code(&other));
        assert_eq!(hash_code(&with_fingerprint(&code, &"0f".repeat(32))), hash_code(&code));
    }
}
