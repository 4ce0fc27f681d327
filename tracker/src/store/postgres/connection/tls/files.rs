//! The certificate files that an address names, and the machine's list of authorities.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// The largest accepted file. The list of authorities of the largest cloud has a fifth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the authorities of a file.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let unusable = |why: &str| failed("sslrootcert", path, &why);
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates("sslrootcert", path)?) {
        (0, _) => Err(unusable("there is no authority's certificate in it")),
        _ => Ok(roots),
    }
}

/// Reads the authorities that this machine trusts.
pub(super) fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Unreadable ones are skipped, as other programs do.
    match roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs) {
        (0, _) => Err(TlsError(
            "the database's server must prove itself, and this machine has no list of authorities (Debian: package \
             ca-certificates): name its authority's certificate with sslrootcert=FILE, or set sslmode=disable in \
             database_url to use plaintext"
                .to_owned(),
        )),
        _ => Ok(roots),
    }
}

/// Reads the chain of this side's certificate.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = certificates("sslcert", path)?;
    if found.is_empty() { Err(failed("sslcert", path, &"there is no certificate in it")) } else { Ok(found) }
}

/// Reads the key of this side's certificate. Its file must not be readable by others.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let metadata = fs::metadata(path).map_err(|error| failed("sslkey", path, &error))?;
    // libpq's rule: root may share a key with a group.
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
