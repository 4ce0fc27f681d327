//! Invites: codes that allow a number of registrations. Only the hash of a code is stored.

use peernet_engine::time::UnixMillis;

use super::Result;

/// SHA-256 of an invite's code.
pub type CodeHash = [u8; 32];

/// The right to register a number of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// SHA-256 of the code. The code itself is stored nowhere.
    pub code_hash: CodeHash,
    /// The number of registrations that the invite was made for.
    pub uses: u32,
    /// The number of registrations that are left.
    pub uses_left: u32,
    /// The operator's note: a person or a purpose.
    pub note: String,
    /// The time at which it was made.
    pub created_at: UnixMillis,
    /// The time from which on it is refused.
    pub expires_at: UnixMillis,
    /// The time at which an operator revoked it.
    pub revoked_at: Option<UnixMillis>,
}

impl Invite {
    /// Returns whether the invite can be used now.
    pub fn is_good(&self, now: UnixMillis) -> bool {
        self.uses_left > 0 && self.revoked_at.is_none() && now < self.expires_at
    }

    /// Returns the name of the invite in lists and in the audit log.
    pub fn id(&self) -> String {
        invite_id(&self.code_hash)
    }
}

/// Returns the name of the invite with this hash: its first six bytes in hexadecimal.
pub fn invite_id(code_hash: &CodeHash) -> String {
    data_encoding::HEXLOWER.encode(&code_hash[..6])
}

/// Reads invites.
pub trait Invites {
    /// Returns the invite whose code has this hash.
    fn invite(&self, code_hash: &CodeHash) -> Result<Option<Invite>>;

    /// Returns the newest invites, at most [`super::accounts::PAGE_MAX`].
    fn invites(&self) -> Result<Vec<Invite>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite {
            code_hash: [0xab; 32],
            uses: 2,
            uses_left: 1,
            note: "for a test".into(),
            created_at: UnixMillis(1_000),
            expires_at: UnixMillis(2_000),
            revoked_at: None,
        }
    }

    #[test]
    fn an_invite_is_good_until_it_is_used_up_revoked_or_expired() {
        for (invite, now, good) in [
            (invite(), 1_999, true),
            (invite(), 2_000, false),
            (Invite { uses_left: 0, ..invite() }, 1_500, false),
            (Invite { revoked_at: Some(UnixMillis(1_200)), ..invite() }, 1_500, false),
        ] {
            assert_eq!(invite.is_good(UnixMillis(now)), good, "{invite:?} at {now}");
        }
    }

    #[test]
    fn an_invite_is_named_by_a_part_of_its_hash() {
        assert_eq!(invite().id(), "abababababab");
    }
}
