//! The addresses of a peer, and whether its connections are encrypted.

use std::sync::Arc;

/// The address of a peer, and a second one for callers that speak plaintext where the first needs TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The address as `host:port`.
    pub address: Arc<str>,
    /// Whether connections there use mutual TLS; plaintext otherwise.
    pub tls: bool,
    /// The address where the same peer accepts plaintext as well.
    pub plaintext: Option<Arc<str>>,
}

impl Reach {
    /// Makes an address that accepts plaintext only.
    pub fn plain(address: impl Into<Arc<str>>) -> Self {
        Self { address: address.into(), tls: false, plaintext: None }
    }

    /// The address that accepts plaintext, if any: all that version 1 can use.
    pub fn in_plaintext(&self) -> Option<&Arc<str>> {
        if self.tls { self.plaintext.as_ref() } else { Some(&self.address) }
    }
}

impl From<&str> for Reach {
    fn from(address: &str) -> Self {
        Self::plain(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_sees_plaintext_only() {
        let plain = Reach::plain("a:1");
        let tls = Reach { tls: true, ..plain.clone() };
        let both = Reach { plaintext: Some("a:2".into()), ..tls.clone() };
        let seen = [&plain, &tls, &both].map(|reach| reach.in_plaintext().map(|address| &**address));
        assert_eq!(seen, [Some("a:1"), None, Some("a:2")]);
    }
}
