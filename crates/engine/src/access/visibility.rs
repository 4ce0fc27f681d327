//! The visibility of a file: as its owner declared it, and as far as a serving peer knows it.

use std::fmt;
use std::str::FromStr;

/// The visibility of a file, as its owner declared it at the tracker. Each variant names the accounts that may fetch
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Every member of the swarm.
    Public,
    /// The owner, the named accounts, and the members of the named groups.
    Shared,
    /// The owner alone.
    Private,
    /// No account, not even the owner's, until the owner declares something else.
    Withdrawn,
}

impl Visibility {
    /// The word that the API and the tracker's tables use for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Shared => "shared",
            Self::Private => "private",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a word that names no [`Visibility`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownVisibility;

impl fmt::Display for UnknownVisibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected public, shared, private or withdrawn")
    }
}

impl std::error::Error for UnknownVisibility {}

impl FromStr for Visibility {
    type Err = UnknownVisibility;

    fn from_str(word: &str) -> Result<Self, UnknownVisibility> {
        let all = [Self::Public, Self::Shared, Self::Private, Self::Withdrawn];
        all.into_iter().find(|visibility| visibility.as_str() == word).ok_or(UnknownVisibility)
    }
}

/// A serving peer's knowledge of a file's [`Visibility`].
///
/// The tracker's replies to announces say only whether a file is restricted. A serving peer needs no more, because a
/// grant names the account that may fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownVisibility {
    /// Served to every member of the swarm.
    Public,
    /// Shared, private or withdrawn: served to callers with a grant that was issued since.
    Restricted,
    /// The tracker has not answered yet: served to callers with a grant.
    Unknown,
}

impl KnownVisibility {
    /// Converts the flag of a tracker's reply.
    pub fn restricted_if(is_restricted: bool) -> Self {
        if is_restricted { Self::Restricted } else { Self::Public }
    }
}

impl From<Visibility> for KnownVisibility {
    fn from(visibility: Visibility) -> Self {
        Self::restricted_if(visibility != Visibility::Public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_the_visibility_it_came_from() {
        for visibility in [Visibility::Public, Visibility::Shared, Visibility::Private, Visibility::Withdrawn] {
            assert_eq!(visibility.to_string().parse(), Ok(visibility));
        }
        for word in ["", "Public", " public", "unknown", "restricted"] {
            assert_eq!(word.parse::<Visibility>(), Err(UnknownVisibility), "{word}");
        }
    }

    #[test]
    fn only_public_files_are_known_as_public() {
        for (declared, known) in [
            (Visibility::Public, KnownVisibility::Public),
            (Visibility::Shared, KnownVisibility::Restricted),
            (Visibility::Private, KnownVisibility::Restricted),
            (Visibility::Withdrawn, KnownVisibility::Restricted),
        ] {
            assert_eq!(KnownVisibility::from(declared), known, "{declared}");
        }
    }
}
