//! What a user says about speaking to trackers.

use std::fmt;
use std::str::FromStr;

use super::Scope;
use crate::identity::Fingerprint;

/// How trackers are spoken to; the default is the strictest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackerOptions {
    /// `http://` beyond this machine as well.
    pub allow_plaintext: bool,
    /// By what `https://` knows a tracker.
    pub tls: TrackerTls,
    /// The authority to take for the swarm's at `register` and `login`; without it the first one that is met.
    pub ca_fingerprint: Option<Fingerprint>,
    /// How this machine introduces itself when it logs in.
    pub device: DeviceOptions,
}

/// How a machine introduces itself when it logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceOptions {
    /// What people know it by, 1 to [`LABEL_BYTES_MAX`](super::LABEL_BYTES_MAX) bytes; by default its host name.
    pub label: Option<String>,
    /// What the login is to be good for; empty for everything.
    pub scopes: Vec<Scope>,
}

/// By what `https://` knows a tracker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrackerTls {
    /// By the swarm's own authority, whatever the host is called.
    #[default]
    Swarm,
    /// As a browser does: by its host name, and the authorities of the public web. For a tracker behind a proxy that ends TLS.
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

/// A word that is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownTls;

impl fmt::Display for UnknownTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("swarm or public is wanted")
    }
}

impl std::error::Error for UnknownTls {}
