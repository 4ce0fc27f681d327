//! Verification of the server's certificate, by mode.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{TlsError, files};
use crate::store::postgres::address::{Proof, Roots};

pub(super) fn verifier(proof: &Proof) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    match proof {
        Proof::Nothing => Ok(Arc::new(AnyName::new(None))),
        Proof::Authority(file) => Ok(Arc::new(AnyName::new(Some(files::roots(file)?)))),
        Proof::Name(Roots::File(file)) => by_name(files::roots(file)?),
        Proof::Name(Roots::System) => by_name(files::system_roots()?),
    }
}

fn by_name(roots: RootCertStore) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(built.map_err(|error| TlsError(error.to_string()))?)
}

/// Accepts a server of any name that one of these authorities vouches for; without authorities, any server.
#[derive(Debug)]
struct AnyName {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyName {
    fn new(roots: Option<RootCertStore>) -> Self {
        Self { roots, algorithms: ring::default_provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, chain, now, self.algorithms.all)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    // Every mode checks that the server has the key of its certificate, because SCRAM's channel binding relies on it.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
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
        let config =
            config.with_custom_certificate_verifier(verifier(proof).expect("needs no file")).with_no_client_auth();
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
    fn a_certificate_without_its_key_is_refused_in_every_mode() {
        let own = key();
        let other = key();
        for version in [&TLS12, &TLS13] {
            assert_eq!(handshake(client(&Proof::Nothing), server(&own, &own, version)), Ok(()));
            let stolen = handshake(client(&Proof::Nothing), server(&own, &other, version));
            assert!(matches!(stolen, Err(Error::InvalidCertificate(_))), "{stolen:?}");
        }
    }
}
