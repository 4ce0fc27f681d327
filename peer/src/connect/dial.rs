//! The sources that a download may call, and whether over TLS or in plaintext.

use std::fmt;
use std::sync::Arc;

use peernet_engine::candidate::Transport;
use peernet_engine::ids::PeerId;

use crate::access::Membership;
use crate::clock::unix_now;
use crate::discovery::Source;
use crate::identity::Identity;

/// The security of the channel to one source.
#[derive(Debug, Clone)]
pub(crate) enum ChannelSecurity {
    /// Plaintext, to any peer that answers.
    Plaintext,
    /// Mutual TLS with exactly this peer, as this identity.
    Tls(Arc<Identity>, PeerId),
}

/// The reason that this node may not call a source. Each is this node's own failure and says nothing about the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialError {
    /// The source speaks plaintext only, which is not allowed here.
    PlaintextNotAllowed,
    /// No certificate: this node cannot prove itself to the source.
    NoCertificate,
    /// An expired certificate, and the tracker has not issued another.
    CertificateExpired,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlaintextNotAllowed => "the source speaks plaintext only, which is not allowed here",
            Self::NoCertificate => "this node has no certificate to call it with",
            Self::CertificateExpired => "this node's certificate has ended, and the tracker has not issued another",
        })
    }
}

/// The transports a download may use. The default allows none: plaintext must be asked for, and TLS needs a membership.
#[derive(Debug, Clone, Default)]
pub struct Dial {
    membership: Option<Arc<Membership>>,
    plaintext: bool,
}

impl Dial {
    /// Mutual TLS as this member. Sources that speak plaintext are passed over.
    pub fn tls(membership: Arc<Membership>) -> Self {
        Self { membership: Some(membership), plaintext: false }
    }

    /// Plaintext, to any peer that answers. Sources that expect TLS are passed over.
    pub fn plaintext() -> Self {
        Self { membership: None, plaintext: true }
    }

    /// Allows plaintext sources as well, after the others.
    #[must_use]
    pub fn and_plaintext(self) -> Self {
        Self { plaintext: true, ..self }
    }

    /// Returns the sources that may be called: encrypted ones first, otherwise in their order.
    pub(crate) fn usable(&self, sources: Vec<Source>) -> Vec<Source> {
        let (encrypted, plaintext): (Vec<_>, Vec<_>) =
            sources.into_iter().partition(|source| source.transport == Transport::Tls);
        let membership = self.membership.as_ref();
        let trusted = |source: &Source| membership.is_some_and(|membership| !membership.is_revoked(source.peer));
        let encrypted = encrypted.into_iter().filter(trusted);
        encrypted.chain(plaintext.into_iter().filter(|_| self.plaintext)).collect()
    }

    /// Returns the security of the channel to this source.
    pub(crate) fn security(&self, source: &Source) -> Result<ChannelSecurity, DialError> {
        match (source.transport, &self.membership) {
            (Transport::Plaintext, _) if self.plaintext => Ok(ChannelSecurity::Plaintext),
            (Transport::Plaintext, _) => Err(DialError::PlaintextNotAllowed),
            (Transport::Tls, None) => Err(DialError::NoCertificate),
            (Transport::Tls, Some(membership)) => {
                let identity = membership.identity();
                match identity.is_expired(unix_now()) {
                    true => Err(DialError::CertificateExpired),
                    false => Ok(ChannelSecurity::Tls(identity, source.peer)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;
    use crate::identity::testing::{Authority, Life};

    fn source(number: u8, transport: Transport) -> Source {
        Source { transport, ..crate::discovery::testing::source(number) }
    }

    fn check(dial: &Dial, expected: &[u8]) {
        use Transport::{Plaintext, Tls};
        let all = vec![source(1, Plaintext), source(2, Tls), source(3, Plaintext), source(4, Tls), source(5, Tls)];
        let got = dial.usable(all);
        let expected: Vec<_> = expected.iter().map(|number| PeerId::from_random([*number; 16])).collect();
        assert_eq!(got.iter().map(|source| source.peer).collect::<Vec<_>>(), expected, "{dial:?}");
        assert!(got.iter().all(|source| dial.security(source).is_ok()));
    }

    #[test]
    fn encrypted_sources_come_first_plaintext_only_if_allowed() {
        let member = Authority::new().member(9);
        member.revoke([PeerId::from_random([5; 16])].into(), Default::default());
        check(&Dial::default(), &[]);
        check(&Dial::plaintext(), &[1, 3]);
        check(&Dial::tls(Arc::clone(&member)), &[2, 4]);
        check(&Dial::tls(member).and_plaintext(), &[2, 4, 1, 3]);
    }

    #[test]
    fn an_ended_certificate_is_not_used_for_calls() {
        let life = Life { obtained_at: 1_000, expires_at: 2_000 };
        let ended = Authority::new().identity_for(PeerId::from_random([1; 16]), life);
        let dial = Dial::tls(Membership::new(ended));
        assert_eq!(dial.security(&source(2, Transport::Tls)).unwrap_err(), DialError::CertificateExpired);
    }

    #[test]
    fn a_source_that_may_not_be_called_has_its_reason() {
        let member = Authority::new().member(9);
        let tls = source(1, Transport::Tls);
        let open = source(2, Transport::Plaintext);
        let plaintext = "the source speaks plaintext only, which is not allowed here";
        let certificate = "this node has no certificate to call it with";
        for (dial, source, expected) in [
            (Dial::default(), &open, Some(plaintext)),
            (Dial::default(), &tls, Some(certificate)),
            (Dial::plaintext(), &tls, Some(certificate)),
            (Dial::plaintext(), &open, None),
            (Dial::tls(Arc::clone(&member)), &open, Some(plaintext)),
            (Dial::tls(Arc::clone(&member)), &tls, None),
            (Dial::tls(member).and_plaintext(), &open, None),
        ] {
            let found = dial.security(source).err().map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected, "{dial:?} {:?}", source.transport);
        }
        let text = DialError::CertificateExpired.to_string();
        assert_eq!(text, "this node's certificate has ended, and the tracker has not issued another");
    }

    #[test]
    fn a_new_identity_counts_from_the_next_call_on() {
        let authority = Authority::new();
        let peer = PeerId::from_random([1; 16]);
        let member = Membership::new(authority.identity_for(peer, Life { obtained_at: 1_000, expires_at: 2_000 }));
        let dial = Dial::tls(Arc::clone(&member));
        let called = source(2, Transport::Tls);
        assert!(dial.security(&called).is_err());
        member.replace(authority.identity_for(peer, Life::day()));
        let Ok(ChannelSecurity::Tls(identity, expected)) = dial.security(&called) else { panic!("TLS") };
        assert_eq!((identity.peer(), expected), (peer, called.peer));
    }
}
