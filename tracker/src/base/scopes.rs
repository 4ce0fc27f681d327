//! The scopes of a token: a set of three, written as words on the wire and in the store.

use std::fmt;

use peernet_protos::claims::{SCOPE_ADMIN, SCOPE_READ, SCOPE_SHARE};

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

/// Every scope and its word, in the order in which they are written.
const WORDS: [(Scopes, &str); 3] =
    [(Scopes::READ, SCOPE_READ), (Scopes::SHARE, SCOPE_SHARE), (Scopes::ADMIN, SCOPE_ADMIN)];

impl Scopes {
    /// The scope of calls that read, report, or ask for certificates.
    pub const READ: Self = Self(1);
    /// The scope of calls that change what a peer shares.
    pub const SHARE: Self = Self(2);
    /// The scope of calls that change the account.
    pub const ADMIN: Self = Self(4);
    /// All three scopes. A token without a scope claim has all; a call that needs this accepts any of them.
    pub const ALL: Self = Self(7);

    /// The scopes of these words, all three for an empty list; `None` if a word is no scope.
    pub fn of_words(words: &[String]) -> Option<Self> {
        let named = words.iter().try_fold(Self(0), |named, word| {
            let (scope, _) = WORDS.iter().find(|(_, known)| known == word)?;
            Some(named.with(*scope))
        })?;
        Some(if words.is_empty() { Self::ALL } else { named })
    }

    /// The scopes in a text that [`Scopes`] displayed. An unknown word, of a later version, allows nothing here.
    pub fn of_text(text: &str) -> Self {
        let named = text.split(' ').filter_map(|word| WORDS.iter().find(|(_, known)| *known == word));
        named.fold(Self(0), |named, (scope, _)| named.with(*scope))
    }

    /// Returns whether a token with these scopes may be used where any of `needed` is enough.
    pub fn allow(self, needed: Self) -> bool {
        self.0 & needed.0 != 0
    }

    /// The words of the scopes.
    pub fn words(self) -> Vec<String> {
        WORDS.iter().filter(|(scope, _)| self.allow(*scope)).map(|(_, word)| (*word).to_owned()).collect()
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Scopes {
    /// Writes the words with spaces between them (RFC 8693, section 4.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_a_set_and_back() {
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Scopes::of_words(&words).map(|scopes| scopes.to_string())
        };
        assert_eq!(of(&[]).as_deref(), Some("read share admin"));
        assert_eq!(of(&["admin", "read", "admin"]).as_deref(), Some("read admin"));
        for unknown in ["", "READ", "write", "read share"] {
            assert_eq!(of(&["read", unknown]), None, "{unknown}");
        }
    }

    #[test]
    fn a_text_allows_what_it_names_and_nothing_else() {
        for (text, read, share, admin) in [
            ("read share admin", true, true, true),
            ("share", false, true, false),
            ("later read", true, false, false),
            ("", false, false, false),
            ("readshare", false, false, false),
        ] {
            let scopes = Scopes::of_text(text);
            let allowed = [Scopes::READ, Scopes::SHARE, Scopes::ADMIN].map(|scope| scopes.allow(scope));
            assert_eq!(allowed, [read, share, admin], "{text}");
            assert_eq!(scopes.allow(Scopes::ALL), read || share || admin, "{text}");
        }
    }
}
