//! The files that an address names, and this machine's own list of authorities.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// Larger ones are not what they should be; the largest cloud's list of authorities has a fifth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The authorities in a file.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let unusable = |why: &str| failed("sslrootcert", path, &why);
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates("sslrootcert", path)?) {
        (0, _) => Err(unusable("there is no authority's certificate in it")),
        _ => Ok(roots),
    }
}

/// The authorities that this machine trusts.
pub(super) fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // What cannot be read among them is left out, as everywhere.
    match roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs) {
        (0, _) => Err(TlsError(
            "the database's server must prove itself, and this machine has no list of authorities (Debian: package \
             ca-certificates): name its authority's certificate with sslrootcert=FILE, or say sslmode=disable in database_url \
             where plaintext is wanted"
                .to_owned(),
        )),
        _ => Ok(roots),
    }
}

/// The chain of our own certificate.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = certificates("sslcert", path)?;
    if found.is_empty() { Err(failed("sslcert", path, &"there is no certificate in it")) } else { Ok(found) }
}

/// The key of our own certificate, which others may not read.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let metadata = fs::metadata(path).map_err(|error| failed("sslkey", path, &error))?;
    // As libpq has it: root may share a key with a group.
    let open_to_others = metadata.mode() & if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if open_to_others != 0 {
        return Err(failed("sslkey", path, &"others may read it; chmod 600"));
    }
    PrivateKeyDer::from_pem_slice(&read("sslkey", path)?).map_err(|error| failed("sslkey", path, &error))
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(name, path)?;
    CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| failed(name, path, &error))
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let metadata = fs::metadata(path).map_err(|error| failed(name, path, &error))?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(failed(name, path, &"not a file of at most a mebibyte"));
    }
    fs::read(path).map_err(|error| failed(name, path, &error))
}

fn failed(name: &str, path: &Path, why: &dyn fmt::Display) -> TlsError {
    TlsError(format!("{name} {}: {why}", path.display()))
}
