//! The account of a node: which tracker, which peer, which token. The password is never kept.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use peernet_engine::ids::PeerId;
use serde::{Deserialize, Serialize};

use super::{private_folder, write_atomically};
use crate::error::NodeError;

/// No credentials are longer; more is not ours.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What logging in leaves behind.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The tracker's URL, without a slash at its end.
    pub tracker: String,
    /// The account.
    pub peer_id: PeerId,
    /// The address the account was registered with, if any.
    pub address: Option<String>,
    /// The access token. A secret.
    pub token: String,
    /// When it was given, seconds since 1970-01-01 UTC.
    pub obtained_at: u64,
    /// When it stops working, likewise; 0 where unknown.
    pub expires_at: u64,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("tracker", &self.tracker)
            .field("peer_id", &self.peer_id)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Whether three quarters of the token's life are over at `now` (seconds since 1970), so that it is time for a new one.
    pub fn is_stale(&self, now: u64) -> bool {
        let life = self.expires_at.saturating_sub(self.obtained_at);
        self.expires_at != 0 && now >= self.obtained_at.saturating_add(life / 4 * 3)
    }

    /// Whether the token has stopped working at `now`.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at != 0 && now >= self.expires_at
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    tracker: String,
    peer_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    token: String,
    obtained_at: u64,
    expires_at: u64,
}

/// The file they lie in, mode 0600. Several processes may use it; each write replaces it whole.
#[derive(Debug, Clone)]
pub struct CredentialsFile {
    path: PathBuf,
}

impl CredentialsFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it; `None` where there is no file.
    pub fn load(&self) -> Result<Option<Credentials>, NodeError> {
        let bytes = match read_bounded(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(NodeError::local("reading", &self.path))?,
        };
        let damaged = |what: String| {
            NodeError::Invalid(format!(
                "{} is damaged ({what}): log in again with `peernet login`",
                self.path.display()
            ))
        };
        // serde's message may quote the text, and the text may hold the token.
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| damaged(format!("line {}", e.line())))?;
        let peer_id = stored.peer_id.parse().map_err(|e| damaged(format!("{e}")))?;
        let Stored { tracker, address, token, obtained_at, expires_at, .. } = stored;
        Ok(Some(Credentials { tracker, peer_id, address, token, obtained_at, expires_at }))
    }

    /// Replaces what is in it.
    pub fn save(&self, credentials: &Credentials) -> Result<(), NodeError> {
        if let Some(folder) = self.path.parent() {
            private_folder(folder)?;
        }
        let Credentials { tracker, peer_id, address, token, obtained_at, expires_at } = credentials.clone();
        let peer_id = peer_id.to_string();
        let stored = Stored { version: 1, tracker, peer_id, address, token, obtained_at, expires_at };
        let mut bytes = serde_json::to_vec_pretty(&stored).expect("strings and numbers only");
        bytes.push(b'\n');
        write_atomically(&self.path, &bytes).map_err(NodeError::local("writing", &self.path))
    }
}

pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("the file is too large to be what it should be"));
    }
    fs::read(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn example() -> Credentials {
        Credentials {
            tracker: "http://t:1".to_owned(),
            peer_id: PeerId::from_random([7; 16]),
            address: Some("h:2".to_owned()),
            token: "very-secret".to_owned(),
            obtained_at: 100,
            expires_at: 500,
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::new(folder.path().join("new/credentials.json"));
        assert_eq!(file.load().unwrap(), None);
        file.save(&example()).unwrap();
        assert_eq!(file.load().unwrap(), Some(example()));
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_says_what_to_do_and_never_shows_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::new(folder.path().join("credentials.json"));
        fs::write(file.path(), "{\"version\": 1, \"token\": very-secret}").unwrap();
        let message = file.load().unwrap_err().to_string();
        assert!(message.contains("peernet login") && !message.contains("secret"), "{message}");
        assert!(!format!("{:?}", example()).contains("secret"));
    }

    #[test]
    fn a_token_is_stale_after_three_quarters_of_its_life() {
        let credentials = example();
        assert_eq!([399, 400, 499, 500].map(|now| credentials.is_stale(now)), [false, true, true, true]);
        assert_eq!([499, 500].map(|now| credentials.is_expired(now)), [false, true]);
        assert!(!Credentials { expires_at: 0, ..credentials }.is_stale(u64::MAX));
    }
}
