//! Devices: the one that a certificate names, what a device may do, and the revoked ones.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_protos::claims::{SCOPE_ADMIN, SCOPE_READ, SCOPE_SHARE};
use peernet_protos::identity::{device_of_uri, device_uri};

/// The length of an id's text, in bytes.
const ID_BYTES: usize = 36;

/// The calls that a login may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Reading: downloads, searches, and `me`.
    Read,
    /// Announcing shared files.
    Share,
    /// Changing the account: its password and its devices.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Read, Self::Share, Self::Admin];

    fn word(self) -> &'static str {
        match self {
            Self::Read => SCOPE_READ,
            Self::Share => SCOPE_SHARE,
            Self::Admin => SCOPE_ADMIN,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The text names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownScope;

impl fmt::Display for UnknownScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected one or more of read, share and admin, with commas between them")
    }
}

impl std::error::Error for UnknownScope {}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.word() == word).ok_or(UnknownScope)
    }
}

/// Revoked certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revocations {
    /// The accounts whose certificates are revoked.
    pub accounts: BTreeSet<PeerId>,
    /// The devices whose certificates are revoked, whatever their accounts.
    pub devices: BTreeSet<DeviceId>,
    /// The ETag with which to ask for changes.
    pub etag: Option<String>,
    /// When to ask again.
    pub ask_again: Duration,
}

/// Finds the device's URI in a certificate (DER). It stands there as plain text (an IA5String, RFC 5280 section
/// 4.2.1.6).
///
/// The certificate has been checked to be of our authority, so it has at most one such text, and the rest need not be
/// parsed.
pub(super) fn of_certificate(der: &[u8]) -> Option<DeviceId> {
    let prefix = device_uri("");
    let len = device_uri("").len() + ID_BYTES;
    let uris = der.windows(len).filter(|window| window.starts_with(prefix.as_bytes()));
    uris.filter_map(|uri| device_of_uri(std::str::from_utf8(uri).ok()?)?.parse().ok()).next()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, Life};
    use super::*;

    #[test]
    fn a_device_is_found_in_its_certificate_only() {
        let authority = Authority::new();
        let peer = PeerId::from_random([1; 16]);
        let device = DeviceId::from_random([2; 16]);
        assert_eq!(authority.identity_for(peer, Life::day()).device(), None);
        assert_eq!(authority.device_of(peer, device).device(), Some(device));
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert_eq!("write".parse::<Scope>(), Err(UnknownScope));
    }

    #[test]
    fn the_first_whole_device_uri_in_the_bytes_counts() {
        let device = |number: u8| DeviceId::from_random([number; 16]);
        let uri = |number: u8| device_uri(&device(number).to_string());
        let whole = uri(1);
        for (bytes, expected) in [
            (whole.clone(), Some(1)),
            (format!("\u{0}\u{3}{whole}\u{0}"), Some(1)),
            (format!("{}{}", uri(2), uri(1)), Some(2)),
            (format!("{}{}", device_uri("no-device-id-of-thirty-six-letters-x"), uri(1)), Some(1)),
            (whole.to_uppercase(), None),
            (String::new(), None),
        ] {
            assert_eq!(of_certificate(bytes.as_bytes()), expected.map(device), "{bytes:?}");
        }
        for cut in 0..whole.len() {
            assert_eq!(of_certificate(&whole.as_bytes()[..cut]), None, "{cut}");
        }
        // Bytes that are no text are passed over.
        let mut odd = device_uri("").into_bytes();
        odd.extend([0xff; ID_BYTES]);
        odd.extend(whole.as_bytes());
        assert_eq!(of_certificate(&odd), Some(device(1)));
    }

    #[test]
    fn words_beside_the_three_scopes_are_refused() {
        for word in ["", "Read", "read ", "all", "read,share"] {
            assert_eq!(word.parse::<Scope>(), Err(UnknownScope), "{word:?}");
        }
        let expected = "expected one or more of read, share and admin, with commas between them";
        assert_eq!(UnknownScope.to_string(), expected);
    }
}
