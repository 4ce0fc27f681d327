//! The policy of the door on TLS.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;

/// TLS, plaintext, or both on one port: the first byte of a connection tells them apart.
#[derive(Clone)]
pub struct Security {
    /// The TLS configuration; `None` for a door without TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether HTTP without TLS is answered. Otherwise each such request is answered 400 `https_required`.
    pub plaintext: bool,
}

impl Security {
    /// Plaintext only.
    pub fn plaintext() -> Self {
        Self { tls: None, plaintext: true }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("tls", &self.tls.is_some())
            .field("plaintext", &self.plaintext)
            .finish_non_exhaustive()
    }
}
