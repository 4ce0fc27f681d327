//! Handshakes in memory with a server that shows a certificate without having its key.

use std::io;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::*;

/// Shows a certificate, and signs with a key that may be another's.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("random numbers")
}

fn server(of: &KeyPair, signs: &KeyPair, version: &'static SupportedProtocolVersion) -> ServerConnection {
    let certificate =
        CertificateParams::new(["db.test".to_owned()]).expect("a name").self_signed(of).expect("is signed");
    let signs = PrivateKeyDer::try_from(signs.serialize_der()).expect("a key");
    let signs = ring::sign::any_supported_type(&signs).expect("a kind that is known");
    let shown = Shown(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signs)));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_protocol_versions(&[version]).expect("is supported").with_no_client_auth();
    ServerConnection::new(Arc::new(config.with_cert_resolver(Arc::new(shown)))).expect("a session")
}

fn client(proof: &Proof) -> ClientConnection {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("are supported").dangerous();
    let config = config.with_custom_certificate_verifier(verifier(proof).expect("needs no file")).with_no_client_auth();
    let name = ServerName::try_from("db.test").expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a session")
}

/// Returns what the client decides about the server.
fn handshake(mut client: ClientConnection, mut server: ServerConnection) -> Result<(), Error> {
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.write_tls(&mut wire).expect("memory") > 0 {}
        take(&wire, |rest| server.read_tls(rest));
        server.process_new_packets().expect("the client does nothing wrong");
        let mut wire = Vec::new();
        while server.write_tls(&mut wire).expect("memory") > 0 {}
        take(&wire, |rest| client.read_tls(rest));
        client.process_new_packets()?;
        if !client.is_handshaking() {
            return Ok(());
        }
    }
    panic!("no end of the handshake");
}

fn take(mut wire: &[u8], mut read: impl FnMut(&mut &[u8]) -> io::Result<usize>) {
    while !wire.is_empty() {
        assert!(read(&mut wire).expect("memory") > 0);
    }
}

#[test]
fn a_certificate_without_its_key_is_refused_also_where_nothing_has_to_be_proven() {
    let own = key();
    let other = key();
    for version in [&TLS12, &TLS13] {
        assert_eq!(handshake(client(&Proof::Nothing), server(&own, &own, version)), Ok(()));
        let stolen = handshake(client(&Proof::Nothing), server(&own, &other, version));
        assert!(matches!(stolen, Err(Error::InvalidCertificate(_))), "{stolen:?}");
    }
}
