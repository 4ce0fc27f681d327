//! A bounded cache of tokens whose signature was valid.
//!
//! A token is found by a keyed hash of its end and then compared in constant time. A digest of each whole token would
//! be a seventh of a lookup's cost on machines without SHA instructions.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

use constant_time_eq::constant_time_eq;

use super::Caller;

/// The most remembered tokens. Past it all are forgotten at once, and each costs one more check.
const TOKENS_MAX: usize = 10_000;

/// The bytes of a token's end that are hashed: most of its signature, which differs between valid tokens.
const HASHED_BYTES: usize = 32;

/// The contents of a valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) caller: Caller,
    /// The end of its validity, in seconds since 1970-01-01 UTC.
    pub(super) expires_at: u64,
}

/// The tokens. Only valid ones are inserted, so a client without an account cannot push others out.
#[derive(Default)]
pub(super) struct TokenCache {
    hasher: RandomState,
    /// The tokens by hash; of two with one hash the later one is kept.
    tokens: RwLock<HashMap<u64, Entry>>,
}

struct Entry {
    token: Box<str>,
    remembered: Remembered,
}

impl TokenCache {
    pub(super) fn find(&self, token: &str) -> Option<Remembered> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let entry = tokens.get(&self.hash(token))?;
        constant_time_eq(entry.token.as_bytes(), token.as_bytes()).then_some(entry.remembered)
    }

    pub(super) fn remember(&self, token: &str, remembered: Remembered) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS_MAX {
            tokens.clear();
        }
        tokens.insert(self.hash(token), Entry { token: token.into(), remembered });
    }

    pub(super) fn forget(&self) {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn hash(&self, token: &str) -> u64 {
        let token = token.as_bytes();
        self.hasher.hash_one(token.last_chunk::<HASHED_BYTES>().map_or(token, |end| end.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;

    fn remembered(expires_at: u64) -> Remembered {
        Remembered { caller: Caller::account(PeerId([1; 16]), 0), expires_at }
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let cache = TokenCache::default();
        for number in 0..=TOKENS_MAX as u64 {
            let token = number.to_string();
            cache.remember(&token, remembered(number));
            assert!(cache.len() <= TOKENS_MAX && cache.find(&token) == Some(remembered(number)));
        }
    }

    #[test]
    fn another_token_of_the_same_hash_is_another_token() {
        let cache = TokenCache::default();
        cache.remember("one", remembered(1));
        for other in ["two", "on", "one ", ""] {
            let entry = Entry { token: "one".into(), remembered: remembered(1) };
            cache.tokens.write().unwrap().insert(cache.hash(other), entry);
            assert_eq!(cache.find(other), None, "{other:?}");
        }
        cache.remember("two", remembered(2));
        assert_eq!((cache.find("one"), cache.find("two")), (Some(remembered(1)), Some(remembered(2))));
    }
}
