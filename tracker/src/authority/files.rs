//! The authority's files. Each holds a certificate and, of one that signs or will, its key: made once, with mode 0600, complete or not at
//! all, so that a key and its certificate cannot come apart.
//!
//! Rotation has three stages, each a single rename: a next authority is made and told to members, then it signs, then the previous one is
//! forgotten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fmt, iter};

use rcgen::{Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Setup, issue};
use crate::files as disk;

/// Signs.
const ACTIVE_FILE: &str = "authority.pem";
/// Will sign; is trusted already.
const NEXT_FILE: &str = "authority-next.pem";
/// Signed; is still trusted.
const PREVIOUS_FILE: &str = "authority-previous.pem";
/// Larger ones are not ours.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Why there is no authority.
#[derive(Debug)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
    /// A file is not what it should be. It is never overwritten.
    Unreadable(PathBuf, String),
    /// Others than its owner may read the file.
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

/// What a folder holds.
pub(super) struct Found {
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// The one that signs.
    pub(super) certificate: CertificateDer<'static>,
    /// Those that are trusted beside it.
    others: Vec<CertificateDer<'static>>,
}

impl Found {
    /// All certificates as one PEM text.
    pub(super) fn bundle(&self) -> String {
        let others = self.others.iter().filter(|other| **other != self.certificate);
        iter::once(&self.certificate).chain(others).map(issue::pem).collect()
    }
}

/// When the files last changed.
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

/// Whether a folder has an authority.
pub fn exists(folder: &Path) -> bool {
    folder.join(ACTIVE_FILE).exists()
}

/// Makes an authority where there is none. Another tracker on the same folder may be first; both then read what that one made.
pub(super) fn make_once(folder: &Path) -> Result<(), AuthorityError> {
    if exists(folder) { Ok(()) } else { make(&folder.join(ACTIVE_FILE)) }
}

/// Reads a folder.
pub(super) fn read_folder(folder: &Path) -> Result<Found, AuthorityError> {
    let (issuer, certificate) = load(&folder.join(ACTIVE_FILE))?;
    let others = [NEXT_FILE, PREVIOUS_FILE].iter().map(|name| certificate_of(&folder.join(name)));
    let others = others.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(Found { issuer, certificate, others })
}

/// What a rotation has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The next authority is told to members; nothing is signed by it yet.
    Announced,
    /// It signs; the one before is still trusted.
    Signing,
    /// The one before is forgotten.
    Done,
}

/// Takes the rotation of a folder's authority one stage further. A running tracker reads the files again by itself.
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

/// The certificate in a file; `None` where there is no file.
fn certificate_of(path: &Path) -> Result<Option<CertificateDer<'static>>, AuthorityError> {
    let unreadable = |why: &dyn fmt::Display| AuthorityError::Unreadable(path.to_owned(), why.to_string());
    match read_private(path) {
        Err(AuthorityError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => CertificateDer::from_pem_slice(&text?).map(Some).map_err(|error| unreadable(&error)),
    }
}

/// A file that only its owner may read, of bounded size.
pub(super) fn read_private(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    let failed = |error| AuthorityError::Io(path.to_owned(), error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if disk::is_exposed(&metadata) {
        return Err(AuthorityError::Exposed(path.to_owned()));
    }
    read_bounded(path)
}

/// A file of bounded size.
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    let failed = |error| AuthorityError::Io(path.to_owned(), error);
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(AuthorityError::Unreadable(path.to_owned(), "it is too large to be what it should be".to_owned()));
    }
    fs::read(path).map_err(failed)
}
