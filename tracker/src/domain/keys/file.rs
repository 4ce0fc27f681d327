//! The key's file: made once, with mode 0600, complete or not at all.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, BASE64_MIME_PERMISSIVE};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};

use crate::base::files;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// The largest file that is read; the key is far smaller.
const FILE_BYTES_MAX: u64 = 4_096;

/// The reason why the key cannot be used.
#[derive(Debug)]
pub enum KeyError {
    /// The file cannot be read or written.
    Io(PathBuf, io::Error),
    /// The file is not an Ed25519 key in PKCS#8 PEM form. It is never overwritten.
    Unreadable(PathBuf),
    /// Accounts other than the owner may read the file.
    Exposed(PathBuf),
    /// The operating system gives no randomness.
    NoRandomness,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "token key {}: {error}", path.display()),
            Self::Unreadable(path) => {
                write!(f, "token key {}: not an Ed25519 private key in PKCS#8 PEM form", path.display())
            }
            Self::Exposed(path) => {
                write!(f, "token key {0}: others may read it; run chmod 600 {0}", path.display())
            }
            Self::NoRandomness => write!(f, "the system gives no randomness for a token key"),
        }
    }
}

impl std::error::Error for KeyError {}

/// Both halves.
pub(super) struct KeyPair {
    /// PKCS#8, DER.
    pub(super) private_der: Vec<u8>,
    pub(super) public: [u8; 32],
}

pub(super) fn load_or_create(path: &Path) -> Result<KeyPair, KeyError> {
    match load(path) {
        Err(KeyError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => {
            create(path)?;
            // Read back: another tracker on the same folder may have been first, and both must use one key.
            load(path)
        }
        loaded => loaded,
    }
}

fn load(path: &Path) -> Result<KeyPair, KeyError> {
    let failed = |error| KeyError::Io(path.to_owned(), error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if files::is_exposed(&metadata) {
        return Err(KeyError::Exposed(path.to_owned()));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(KeyError::Unreadable(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    parse(&text).ok_or_else(|| KeyError::Unreadable(path.to_owned()))
}

fn parse(text: &str) -> Option<KeyPair> {
    let body = text.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    let private_der = BASE64_MIME_PERMISSIVE.decode(body.trim().as_bytes()).ok()?;
    let key = SigningKey::from_pkcs8_der(&private_der).ok()?;
    Some(KeyPair { private_der, public: key.verifying_key().to_bytes() })
}

fn create(path: &Path) -> Result<(), KeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| KeyError::NoRandomness)?;
    let der = SigningKey::from_bytes(&seed).to_pkcs8_der().expect("an Ed25519 key has a PKCS#8 form");
    let pem = format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", BASE64.encode(der.as_bytes()));
    files::write_once(path, pem.as_bytes()).map_err(|error| KeyError::Io(path.to_owned(), error))
}
