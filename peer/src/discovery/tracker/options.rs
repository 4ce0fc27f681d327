//! The options of calls to trackers.

use std::fmt;
use std::str::FromStr;

use crate::identity::Fingerprint;
use crate::identity::Scope;

/// Options of calls to trackers. The default is the strictest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrackerOptions {
    /// Whether `http://` is allowed to other machines.
    pub allow_plaintext: bool,
    /// The certificates that an `https://` tracker has to have.
    pub tls: TrackerTls,
    /// The authority of the swarm, for `register` and `login`. Without it, the first one met is pinned.
    pub ca_fingerprint: Option<Fingerprint>,
    /// The device that a login names.
    pub device: DeviceOptions,
}

/// The device that a login names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeviceOptions {
    /// The device's label, 1 to [`LABEL_BYTES_MAX`](super::LABEL_BYTES_MAX) bytes; by default the host name.
    pub label: Option<String>,
    /// The scopes of the login; empty for all.
    pub scopes: Vec<Scope>,
}

/// The certificates that an `https://` tracker has to have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrackerTls {
    /// Certificates of the swarm's own authority, for any host name.
    #[default]
    Swarm,
    /// Certificates for its host name from a public authority, as in a browser: for a tracker behind a proxy that ends
    /// TLS.
    Public,
}

impl FromStr for TrackerTls {
    type Err = UnknownTls;

    fn from_str(text: &str) -> Result<Self, UnknownTls> {
        match text {
            "swarm" => Ok(Self::Swarm),
            "public" => Ok(Self::Public),
            _ => Err(UnknownTls),
        }
    }
}

/// The text names none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownTls;

impl fmt::Display for UnknownTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected swarm or public")
    }
}

impl std::error::Error for UnknownTls {}
