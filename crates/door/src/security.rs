//! How clients may speak with the door.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;

/// Encrypted, in plaintext, or as each client likes: the first byte of a connection tells them apart.
#[derive(Clone)]
pub struct Security {
    /// For who speaks TLS; without it nobody can.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether HTTP without TLS is answered. Otherwise it is told `https_required`, whatever it asks.
    pub plaintext: bool,
}

impl Security {
    /// No TLS.
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
