//! TLS to the server. Certificates and keys are read for each connection, so a renewed file applies from the next connection on.

mod files;
mod proof;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::Arc;

use postgres::Socket;
use postgres::tls::MakeTlsConnect;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::describe;
use crate::store::postgres::address::{Protection, Tls};

/// The library's error for a server that has TLS switched off.
const NO_TLS: &str = "server does not support TLS";

/// Creates the TLS configuration of each connection from the files' current contents.
#[derive(Debug, Clone)]
pub(in crate::store::postgres) struct Connector(Protection);

/// The reason why this side cannot use TLS.
#[derive(Debug)]
pub(in crate::store::postgres) struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}

impl Connector {
    pub(in crate::store::postgres) fn new(protection: Protection) -> Self {
        Self(protection)
    }

    /// Returns the configuration of a new connection.
    pub(in crate::store::postgres) fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let Protection::Tls(tls) = &self.0 else {
            // The library requires a configuration and does not use it. It trusts no server.
            return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(proof::verifier(&tls.proof)?);
        let mut config = match &tls.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let chain = files::chain(&client.certificate)?;
                let key = files::key(&client.key)?;
                let unusable = |error| TlsError(format!("sslcert and sslkey {}: {error}", client.key.display()));
                builder.with_client_auth_cert(chain, key).map_err(unusable)?
            }
        };
        // Every connection has its own configuration, so there is no session to resume.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Describes a failed connection, with advice where TLS was the cause.
    pub(in crate::store::postgres) fn explain(&self, error: &postgres::Error) -> String {
        let what = describe(error);
        match (&self.0, advice(error)) {
            (Protection::Tls(Tls { by_default: true, .. }), Some(advice)) => format!(
                "{what}; {advice}. Without sslmode a server on another machine must prove itself by TLS: sslrootcert=FILE names the \
                 authority that vouches for it, sslmode=disable allows plaintext"
            ),
            (_, Some(advice)) => format!("{what}; {advice}"),
            (_, None) => what,
        }
    }
}

fn advice(error: &postgres::Error) -> Option<&'static str> {
    let cause = error.source()?;
    if cause.to_string() == NO_TLS {
        return Some("switch ssl on at the server, or set sslmode=disable to use plaintext");
    }
    let cause = cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
    match cause {
        // The second is an authority of the same name with another key.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            Some("sslrootcert must have the certificate of the authority that issued the server's")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some("call the server by a name that is in its certificate as a subjectAltName"),
        rustls::Error::InvalidCertificate(_) => {
            Some("the server needs a certificate (X.509 version 3) that an authority issued to it")
        }
        _ => Some("the server or this side refused the other's TLS"),
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = TlsError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, TlsError> {
        let mut maker = MakeRustlsConnect::new(self.client_config()?);
        MakeTlsConnect::<Socket>::make_tls_connect(&mut maker, host).map_err(|never| match never {})
    }
}
