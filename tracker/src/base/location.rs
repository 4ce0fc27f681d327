//! The location of a peer: the addresses at which other peers reach it, and whether its connections are encrypted.

use std::sync::Arc;

use peernet_engine::candidate::{Candidate, Candidates};

/// The candidates of a peer, and a second address for callers that speak plaintext where the first ones need TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// The addresses of the peer, best first.
    pub candidates: Candidates,
    /// Whether connections there use mutual TLS; plaintext otherwise.
    pub tls: bool,
    /// The address where the same peer accepts plaintext as well.
    pub plaintext: Option<Candidate>,
}

impl Location {
    /// Makes the location of a peer with one address, which accepts plaintext only. A text that is not `host:port`
    /// makes a location without an address.
    pub fn plain(address: impl Into<Arc<str>>) -> Self {
        Self { candidates: Candidates::hosts([address]), ..Self::default() }
    }

    /// The best address that accepts plaintext, if any: all that version 1 can use.
    pub fn in_plaintext(&self) -> Option<&Candidate> {
        if self.tls { self.plaintext.as_ref() } else { self.candidates.first() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_sees_plaintext_only() {
        let plain = Location::plain("a:1");
        let tls = Location { tls: true, ..plain.clone() };
        let both = Location { plaintext: Candidate::host("a:2").ok(), ..tls.clone() };
        let seen = [&plain, &tls, &both].map(|location| location.in_plaintext().map(|address| &**address.address()));
        assert_eq!(seen, [Some("a:1"), None, Some("a:2")]);
    }

    #[test]
    fn a_text_that_is_no_address_is_left_out() {
        for text in ["", "a", "unix:/tmp/socket", "dns:///a:1"] {
            assert_eq!(Location::plain(text), Location::default(), "{text}");
        }
    }
}
