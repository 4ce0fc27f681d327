//! The device keys, `identity-key.pem` for TLS and `signing-key.pem` for manifests, which are made once and never leave the folder; the certificate it has at the moment,
//! `certificate.json`; who is expelled, `revocations.json`, and the trackers' public keys, `signers.json`, as the tracker said last.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use serde::{Deserialize, Serialize};

use super::atomic::{create_atomically, remove_if_there};
use super::private_folder;
use super::small::{read_bounded, write_json};
use crate::discovery::tracker::{Revocations, same_swarm};
use crate::error::NodeError;
use crate::identity::{Identity, IdentityParts, new_key};
use crate::publication::Signer;

/// No certificate is longer, and no list of expelled accounts; more is not ours.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The files, in the state folder. Several processes may use them; each write replaces one whole.
#[derive(Debug, Clone)]
pub struct IdentityFiles {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct StoredCertificate {
    version: u32,
    tracker: String,
    peer_id: String,
    certificate: String,
    authorities: String,
    obtained_at: u64,
    expires_at: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredRevocations {
    version: u32,
    tracker: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    accounts: Vec<String>,
    /// Of a version before there were devices none is there.
    #[serde(default)]
    devices: Vec<String>,
    ask_again_seconds: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredSigners {
    version: u32,
    tracker: String,
    key_set: serde_json::Value,
}

impl IdentityFiles {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn signers_path(&self) -> PathBuf {
        self.folder.join("signers.json")
    }

    /// Where the key lies.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("identity-key.pem")
    }

    fn signing_key_path(&self) -> PathBuf {
        self.folder.join("signing-key.pem")
    }

    /// Where the certificate lies.
    pub fn certificate_path(&self) -> PathBuf {
        self.folder.join("certificate.json")
    }

    fn revocations_path(&self) -> PathBuf {
        self.folder.join("revocations.json")
    }

    /// The key, PEM, made when there is none yet. A secret.
    pub(crate) fn key(&self) -> Result<String, NodeError> {
        self.made_once(&self.key_path(), || new_key().map_err(|error| NodeError::Failed(error.to_string())))
    }

    /// The key that manifests are signed with, made when there is none yet.
    pub(crate) fn signer(&self) -> Result<Signer, NodeError> {
        let path = self.signing_key_path();
        let make = || Signer::generate().map(|signer| signer.to_pem());
        let text =
            self.made_once(&path, || make().ok_or_else(|| NodeError::Failed("no randomness for a key".to_owned())))?;
        Signer::from_pem(&text)
            .ok_or_else(|| NodeError::Failed(format!("{} is damaged: remove it, and share again", path.display())))
    }

    /// What is at `path`, made when there is nothing yet.
    fn made_once(&self, path: &Path, make: impl FnOnce() -> Result<String, NodeError>) -> Result<String, NodeError> {
        if let Some(text) = read(path)? {
            return Ok(text);
        }
        private_folder(&self.folder)?;
        let text = make()?;
        match create_atomically(path, text.as_bytes()).map_err(NodeError::local("writing", path))? {
            true => Ok(text),
            // Another process was quicker.
            false => read(path)?.ok_or_else(|| NodeError::Failed(format!("{} vanishes", path.display()))),
        }
    }

    /// The identity of this account at this tracker. What is damaged, of another account or of another key counts as absent: the
    /// tracker gives another.
    pub fn load(&self, tracker: &str, peer: PeerId) -> Result<Option<Identity>, NodeError> {
        let (Some(text), Some(key)) = (read(&self.certificate_path())?, read(&self.key_path())?) else {
            return Ok(None);
        };
        let stored = serde_json::from_str::<StoredCertificate>(&text).ok();
        let ours = stored.filter(|stored| stored.peer_id.parse() == Ok(peer) && same_swarm(&stored.tracker, tracker));
        Ok(ours.and_then(|stored| {
            let StoredCertificate { certificate, authorities, obtained_at, expires_at, .. } = stored;
            Identity::new(IdentityParts { peer, key, certificate, authorities, obtained_at, expires_at }).ok()
        }))
    }

    /// Replaces the certificate; the key stays.
    pub(crate) fn save(&self, tracker: &str, identity: &Identity) -> Result<(), NodeError> {
        write_json(
            &self.certificate_path(),
            &StoredCertificate {
                version: 1,
                tracker: tracker.to_owned(),
                peer_id: identity.peer().to_string(),
                certificate: identity.certificate().to_owned(),
                authorities: identity.authorities().pem(),
                obtained_at: identity.obtained_at(),
                expires_at: identity.expires_at(),
            },
        )
    }

    /// Who was expelled when the tracker was asked last. Whatever is wrong with the file, the tracker will be asked anyway.
    pub(crate) fn load_revocations(&self, tracker: &str) -> Option<Revocations> {
        let text = read(&self.revocations_path()).ok()??;
        let stored: StoredRevocations = serde_json::from_str(&text).ok()?;
        let accounts: Option<BTreeSet<_>> = stored.accounts.iter().map(|account| account.parse().ok()).collect();
        let devices: Option<BTreeSet<DeviceId>> = stored.devices.iter().map(|device| device.parse().ok()).collect();
        let ask_again = Duration::from_secs(stored.ask_again_seconds);
        let revocations = Revocations { accounts: accounts?, devices: devices?, etag: stored.etag, ask_again };
        same_swarm(&stored.tracker, tracker).then_some(revocations)
    }

    /// For the next start.
    pub(crate) fn save_revocations(&self, tracker: &str, revocations: &Revocations) -> Result<(), NodeError> {
        write_json(
            &self.revocations_path(),
            &StoredRevocations {
                version: 1,
                tracker: tracker.to_owned(),
                etag: revocations.etag.clone(),
                accounts: revocations.accounts.iter().map(ToString::to_string).collect(),
                devices: revocations.devices.iter().map(ToString::to_string).collect(),
                ask_again_seconds: revocations.ask_again.as_secs(),
            },
        )
    }

    /// The trackers' key set (RFC 7517) as they sent it last. Whatever is wrong with the file, they will be asked anyway.
    pub(crate) fn load_signers(&self, tracker: &str) -> Option<String> {
        let stored: StoredSigners = serde_json::from_str(&read(&self.signers_path()).ok()??).ok()?;
        same_swarm(&stored.tracker, tracker).then(|| stored.key_set.to_string())
    }

    /// For the next start, on which no tracker may answer.
    pub(crate) fn save_signers(&self, tracker: &str, key_set: &serde_json::Value) -> Result<(), NodeError> {
        let stored = StoredSigners { version: 1, tracker: tracker.to_owned(), key_set: key_set.clone() };
        write_json(&self.signers_path(), &stored)
    }

    /// This folder is no member's any more: neither keys nor certificate stay.
    pub(crate) fn remove(&self) -> Result<(), NodeError> {
        let removed = [self.key_path(), self.signing_key_path(), self.certificate_path()]
            .map(|path| remove_if_there(&path).map_err(NodeError::local("removing", &path)));
        removed.into_iter().collect()
    }
}

/// `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<String>, NodeError> {
    let Some(bytes) = read_bounded(path, FILE_BYTES_MAX)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(io::Error::other);
    text.map(Some).map_err(NodeError::local("reading", path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::identity::testing::{Authority, Life};

    const TRACKER: &str = "https://t:1";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_key_is_made_once_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().join("state"));
        let keys: Vec<String> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..4).map(|_| scope.spawn(|| files.key().unwrap())).collect();
            made.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && key.contains("PRIVATE KEY")));
        assert_eq!(mode(&files.key_path()), 0o600);
        assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 1);
    }

    #[test]
    fn the_signing_key_is_made_once_and_a_damaged_one_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().join("state"));
        let key = files.signer().unwrap().key();
        assert_eq!(files.signer().unwrap().key(), key);
        let path = folder.path().join("state/signing-key.pem");
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, "no key").unwrap();
        assert!(files.signer().is_err() && fs::read_to_string(&path).unwrap() == "no key");
        files.remove().unwrap();
        assert_ne!(files.signer().unwrap().key(), key);
    }

    #[test]
    fn a_certificate_is_found_again_by_its_account_tracker_and_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        let (peer, other) = (PeerId::from_random([1; 16]), PeerId::from_random([2; 16]));
        assert_eq!(files.load(TRACKER, peer).unwrap(), None);
        let (authority, key, life) = (Authority::new(), files.key().unwrap(), Life::day());
        let certificate = authority.issue(&[peernet_protos::identity::peer_name(&peer.to_string())], &key, life);
        let Life { obtained_at, expires_at } = life;
        let parts = IdentityParts { peer, key, certificate, authorities: authority.pem(), obtained_at, expires_at };
        let identity = Identity::new(parts).unwrap();
        files.save(TRACKER, &identity).unwrap();
        assert_eq!(mode(&files.certificate_path()), 0o600);
        assert_eq!(files.load("https://t:1,https://u:1", peer).unwrap(), Some(identity.clone()));
        assert_eq!(files.load("https://u:1", peer).unwrap(), None);
        assert_eq!(files.load(TRACKER, other).unwrap(), None);
        fs::write(files.key_path(), new_key().unwrap()).unwrap();
        assert_eq!(files.load(TRACKER, peer).unwrap(), None);
        fs::write(files.certificate_path(), "{").unwrap();
        assert_eq!(files.load(TRACKER, peer).unwrap(), None);
    }

    #[test]
    fn the_expelled_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        assert_eq!(files.load_revocations(TRACKER), None);
        let accounts = [PeerId::from_random([3; 16])].into();
        let (devices, ask_again) = ([DeviceId::from_random([4; 16])].into(), Duration::from_secs(9));
        let revocations = Revocations { accounts, devices, etag: Some("\"1\"".to_owned()), ask_again };
        files.save_revocations(TRACKER, &revocations).unwrap();
        assert_eq!(files.load_revocations(TRACKER), Some(revocations));
        assert_eq!(files.load_revocations("https://u:1"), None);
        assert_eq!(mode(&folder.path().join("revocations.json")), 0o600);
    }
}
