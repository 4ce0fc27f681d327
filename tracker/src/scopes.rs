//! What a token may be used for: a set of the three scopes, as words on the wire and in the store.

use std::fmt;

use peernet_protos::claims::{SCOPE_ADMIN, SCOPE_READ, SCOPE_SHARE};

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

/// Every scope and its word, in the order in which they are written.
const WORDS: [(Scopes, &str); 3] =
    [(Scopes::READ, SCOPE_READ), (Scopes::SHARE, SCOPE_SHARE), (Scopes::ADMIN, SCOPE_ADMIN)];

impl Scopes {
    /// Calls that only ask, reports, and certificates.
    pub const READ: Self = Self(1);
    /// Calls that say what a peer shares.
    pub const SHARE: Self = Self(2);
    /// Calls that change the account itself.
    pub const ADMIN: Self = Self(4);
    /// All three: of tokens that say nothing of scopes. As what a call needs it means any of them.
    pub const ALL: Self = Self(7);

    /// The scopes of these words, all three where there are none; `None` where a word is no scope.
    pub fn of_words(words: &[String]) -> Option<Self> {
        let named = words.iter().try_fold(Self(0), |named, word| {
            let (scope, _) = WORDS.iter().find(|(_, known)| known == word)?;
            Some(named.with(*scope))
        })?;
        Some(if words.is_empty() { Self::ALL } else { named })
    }

    /// The scopes in a text as [`Scopes`] are displayed. Words that are not known allow nothing here.
    pub fn of_text(text: &str) -> Self {
        let named = text.split(' ').filter_map(|word| WORDS.iter().find(|(_, known)| *known == word));
        named.fold(Self(0), |named, (scope, _)| named.with(*scope))
    }

    /// Whether a token with these may be used where any of `needed` is enough.
    pub fn allow(self, needed: Self) -> bool {
        self.0 & needed.0 != 0
    }

    /// Its words.
    pub fn words(self) -> Vec<String> {
        WORDS.iter().filter(|(scope, _)| self.allow(*scope)).map(|(_, word)| (*word).to_owned()).collect()
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Scopes {
    /// Words with spaces between them, RFC 8693 section 4.2.
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
