//! The authority's files. Each holds a certificate and, unless it is the previous one, its key. A file is made once,
//! with mode 0600, complete or not at all, so that a key and its certificate cannot come apart.
//!
//! A rotation has three stages, each a single rename: peers learn of the next authority, then it signs, then the
//! previous one is removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fmt, iter};

use rcgen::{Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Setup, issue};
use crate::base::files as disk;

/// The authority that signs.
const ACTIVE_FILE: &str = "authority.pem";
/// The authority that will sign next; peers trust it already.
const NEXT_FILE: &str = "authority-next.pem";
/// The authority that signed before; peers still trust it.
const PREVIOUS_FILE: &str = "authority-previous.pem";
/// The largest file that is read; the tracker never writes a larger one.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The reason why the authority cannot be used.
#[derive(Debug)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
    /// A file does not have the expected contents. It is never overwritten.
    Unreadable(PathBuf, String),
    /// Accounts other than the owner may read the file.
    Exposed(PathBuf),
    /// A certificate cannot be made.
    Failed(String),
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "certificate file {}: {error}", path.display()),
            Self::Unreadable(path, why) => write!(f, "certificate file {}: {why}", path.display()),
            Self::Exposed(path) => {
                write!(f, "certificate file {0}: others may read its key; run chmod 600 {0}", path.display())
            }
            Self::Failed(why) => write!(f, "the swarm's authority: {why}"),
        }
    }
}

impl std::error::Error for AuthorityError {}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The contents of a folder.
pub(super) struct Found {
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// The signing certificate.
    pub(super) certificate: CertificateDer<'static>,
    /// The next and the previous certificate, where they exist.
    others: Vec<CertificateDer<'static>>,
}

impl Found {
    /// All certificates as one PEM text.
    pub(super) fn bundle(&self) -> String {
        let others = self.others.iter().filter(|other| **other != self.certificate);
        iter::once(&self.certificate).chain(others).map(issue::pem).collect()
    }
}

/// The modification times and sizes of all files, to notice changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    pub(super) fn of(setup: &Setup) -> Self {
        let own = [ACTIVE_FILE, NEXT_FILE, PREVIOUS_FILE].map(|name| setup.folder.join(name));
        let given = setup.given.iter().flat_map(|(chain, key)| [chain.clone(), key.clone()]);
        let stamp = |path: PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self(own.into_iter().chain(given).map(stamp).collect())
    }
}

/// Returns whether a folder has an authority.
pub fn exists(folder: &Path) -> bool {
    folder.join(ACTIVE_FILE).exists()
}

/// Makes an authority if there is none. If another tracker on the same folder is first, both then read what that one
/// made.
pub(super) fn make_once(folder: &Path) -> Result<(), AuthorityError> {
    if exists(folder) { Ok(()) } else { make(&folder.join(ACTIVE_FILE)) }
}

/// Reads all certificates of a folder, and the signing key.
pub(super) fn read_folder(folder: &Path) -> Result<Found, AuthorityError> {
    let (issuer, certificate) = load(&folder.join(ACTIVE_FILE))?;
    let others = [NEXT_FILE, PREVIOUS_FILE].iter().map(|name| certificate_of(&folder.join(name)));
    let others = others.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(Found { issuer, certificate, others })
}

/// The stage that a rotation has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Peers learn of the next authority; it signs nothing yet.
    Announced,
    /// The next authority signs; peers still trust the previous one.
    Signing,
    /// The previous authority was removed.
    Done,
}

/// Advances the rotation of a folder's authority by one stage. A running tracker reloads the files by itself.
pub fn rotate(folder: &Path) -> Result<Stage, AuthorityError> {
    let [active, next, previous] = [ACTIVE_FILE, NEXT_FILE, PREVIOUS_FILE].map(|name| folder.join(name));
    if next.exists() {
        let (_, certificate) = load(&active)?;
        let failed = |error| AuthorityError::Io(next.clone(), error);
        disk::write_over(&previous, issue::pem(&certificate).as_bytes()).map_err(failed)?;
        fs::rename(&next, &active).and_then(|()| disk::sync_folder_of(&active)).map_err(failed)?;
        return Ok(Stage::Signing);
    }
    if previous.exists() {
        let failed = |error| AuthorityError::Io(previous.clone(), error);
        fs::remove_file(&previous).and_then(|()| disk::sync_folder_of(&previous)).map_err(failed)?;
        return Ok(Stage::Done);
    }
    load(&active)?;
    make(&next)?;
    Ok(Stage::Announced)
}

fn make(path: &Path) -> Result<(), AuthorityError> {
    let text = issue::authority()?;
    disk::write_once(path, text.as_bytes()).map_err(|error| AuthorityError::Io(path.to_owned(), error))
}

fn load(path: &Path) -> Result<(Issuer<'static, KeyPair>, CertificateDer<'static>), AuthorityError> {
    let unreadable = |why: &dyn fmt::Display| AuthorityError::Unreadable(path.to_owned(), why.to_string());
    let text = read_private(path)?;
    let certificate = CertificateDer::from_pem_slice(&text).map_err(|error| unreadable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| unreadable(&error))?;
    let key = KeyPair::try_from(&key).map_err(|error| unreadable(&error))?;
    let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| unreadable(&error))?;
    Ok((issuer, certificate))
}

/// Reads the certificate in a file; `None` where there is no file.
fn certificate_of(path: &Path) -> Result<Option<CertificateDer<'static>>, AuthorityError> {
    let unreadable = |why: &dyn fmt::Display| AuthorityError::Unreadable(path.to_owned(), why.to_string());
    match read_private(path) {
        Err(AuthorityError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => CertificateDer::from_pem_slice(&text?).map(Some).map_err(|error| unreadable(&error)),
    }
}

/// Reads a file of bounded size that only its owner may read.
pub(super) fn read_private(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    let failed = |error| AuthorityError::Io(path.to_owned(), error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if disk::is_exposed(&metadata) {
        return Err(AuthorityError::Exposed(path.to_owned()));
    }
    read_bounded(path)
}

/// Reads a file of bounded size.
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    let failed = |error| AuthorityError::Io(path.to_owned(), error);
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(AuthorityError::Unreadable(path.to_owned(), "it is larger than 64 KiB".to_owned()));
    }
    fs::read(path).map_err(failed)
}
