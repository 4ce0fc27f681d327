//! A server that is reached over TCP, with a certificate of a test's own authority, or without TLS.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::programs::{User, give};

/// The network side of a server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Network<'a> {
    /// The server's certificate and key; `None` for a server without TLS.
    pub identity: Option<&'a Identity>,
    /// The authority of its clients' certificates.
    pub clients: Option<&'a Authority>,
    /// The clients that may connect over TCP, in lines of `pg_hba.conf`. The socket is open to all.
    pub hba: &'a str,
}

/// Vouches for servers and clients.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate that the server presents.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When the machine has no random numbers, as do the others.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a test's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.self_signed(&key).expect("right parameters").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Returns the authority's certificate as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a host name or an address, or for a client that is called so.
    pub fn issue(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.signed_by(&key, &self.issuer).expect("right parameters").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Network<'_> {
    pub(super) fn settings(&self) -> impl Iterator<Item = &'static str> {
        let tls = self.identity.map(|_| "ssl=on");
        let clients = self.clients.map(|_| "ssl_ca_file=root.crt");
        std::iter::once("listen_addresses=127.0.0.1").chain(tls).chain(clients)
    }

    /// Writes the server's files into its data folder.
    pub(super) fn write(&self, data: &Path, owner: Option<User>) -> Result<(), String> {
        let hba = format!("local all all trust\n{}\n", self.hba);
        let own = self.identity.iter().flat_map(|own| [("server.crt", &own.certificate), ("server.key", &own.key)]);
        let clients = self.clients.iter().map(|authority| ("root.crt", &authority.certificate));
        for (name, text) in own.chain(clients).chain([("pg_hba.conf", &hba)]) {
            let path = data.join(name);
            let mode = fs::Permissions::from_mode(0o600);
            let written = fs::write(&path, text).and_then(|()| fs::set_permissions(&path, mode));
            written.map_err(|error| format!("{}: {error}", path.display()))?;
            give(&path, owner)?;
        }
        Ok(())
    }
}

/// Returns a port without a listener at this moment: the server cannot pick one itself.
pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
