//! Tokens whose signature was good, by the SHA-256 of their text: bounded, and never a token itself.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::Caller;

/// How many are remembered at most; past it all are forgotten at once, and each costs one more check.
const TOKENS_MAX: usize = 10_000;

/// What a good token said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) caller: Caller,
    /// Seconds since 1970-01-01 UTC.
    pub(super) expires_at: u64,
}

/// The tokens. Only good ones come in, so a stranger cannot push others out.
#[derive(Debug, Default)]
pub(super) struct TokenCache {
    tokens: RwLock<HashMap<[u8; 32], Remembered>>,
}

impl TokenCache {
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<Remembered> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).get(digest).copied()
    }

    pub(super) fn remember(&self, digest: [u8; 32], token: Remembered) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS_MAX {
            tokens.clear();
        }
        tokens.insert(digest, token);
    }

    pub(super) fn forget(&self) {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let cache = TokenCache::default();
        let token = Remembered { caller: Caller::account(PeerId([1; 16]), 0), expires_at: 1 };
        for number in 0..=TOKENS_MAX as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            cache.remember(digest, token);
            assert!(cache.len() <= TOKENS_MAX && cache.find(&digest) == Some(token));
        }
    }
}
