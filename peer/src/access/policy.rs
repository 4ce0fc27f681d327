//! The access policy of a file, as its owner declares it.

use std::fmt;

use peernet_engine::access::Visibility;
use peernet_engine::ids::PeerId;

/// The accounts that may fetch a file. The owner declares them at the tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessPolicy {
    /// Every member of the swarm.
    Public,
    /// The owner, and the named accounts and groups: at most 1,000 accounts and 100 groups.
    Shared {
        /// The accounts.
        accounts: Vec<PeerId>,
        /// Names of the owner's groups, whose members may fetch the file.
        groups: Vec<String>,
    },
    /// The owner alone.
    Private,
    /// No account. [`crate::Node::withdraw`] declares it.
    Withdrawn,
}

impl AccessPolicy {
    /// Returns the policy without its lists.
    pub fn visibility(&self) -> Visibility {
        match self {
            Self::Public => Visibility::Public,
            Self::Shared { .. } => Visibility::Shared,
            Self::Private => Visibility::Private,
            Self::Withdrawn => Visibility::Withdrawn,
        }
    }

    /// Returns the word that the API uses for it.
    pub fn as_str(&self) -> &'static str {
        self.visibility().as_str()
    }
}

impl fmt::Display for AccessPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use peernet_protos::rest::{ACCESS_PRIVATE, ACCESS_PUBLIC, ACCESS_SHARED, ACCESS_WITHDRAWN};

    use super::*;

    #[test]
    fn the_words_are_those_of_the_api() {
        let shared = AccessPolicy::Shared { accounts: Vec::new(), groups: Vec::new() };
        for (policy, word) in [
            (AccessPolicy::Public, ACCESS_PUBLIC),
            (shared, ACCESS_SHARED),
            (AccessPolicy::Private, ACCESS_PRIVATE),
            (AccessPolicy::Withdrawn, ACCESS_WITHDRAWN),
        ] {
            assert_eq!((policy.as_str(), policy.to_string().as_str()), (word, word));
            assert_eq!(word.parse(), Ok(policy.visibility()));
        }
    }
}
