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
mod tests;
