//! Where a peer answers, and whether what is said there is encrypted.

use std::sync::Arc;

/// An address, and another for who speaks plaintext where the first wants TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// `host:port`.
    pub address: Arc<str>,
    /// Whether mutual TLS is spoken there; plaintext otherwise.
    pub tls: bool,
    /// Where the same peer answers in plaintext beside it.
    pub plaintext: Option<Arc<str>>,
}

impl Reach {
    /// In plaintext only.
    pub fn plain(address: impl Into<Arc<str>>) -> Self {
        Self { address: address.into(), tls: false, plaintext: None }
    }

    /// Where it answers in plaintext, if anywhere: all that version 1 knows.
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
