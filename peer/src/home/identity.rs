//! The files of a device's identity.
//!
//! - `identity-key.pem` (TLS) and `signing-key.pem` (manifests): made once, and never leave the folder.
//! - `certificate.json`: the current certificate.
//! - `revocations.json` and `signers.json`: the revoked accounts and devices, and the trackers' public keys, as the
//!   tracker sent them last. With them a node starts without a tracker.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use serde::{Deserialize, Serialize};

use super::atomic::{create_atomically, remove_if_there};
use super::same_swarm;
use super::small::{read_bounded, write_json};
use super::{HomeError, private_folder};
use crate::identity::{Identity, IdentityParts, Revocations, new_key};
use crate::publication::Signer;

/// The largest file that is read, in bytes: more than any certificate and any list of revoked accounts.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The files of a device's identity, in the state folder. Several processes may use them; each write replaces one
/// whole.
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
    /// Absent in files from before there were devices.
    #[serde(default)]
    devices: Vec<String>,
    ask_again_seconds: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredTrackerKeys {
    version: u32,
    tracker: String,
    key_set: serde_json::Value,
}

impl IdentityFiles {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn tracker_keys_path(&self) -> PathBuf {
        self.folder.join("signers.json")
    }

    /// Returns the path of the TLS key.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("identity-key.pem")
    }

    fn signing_key_path(&self) -> PathBuf {
        self.folder.join("signing-key.pem")
    }

    /// Returns the path of the certificate.
    pub fn certificate_path(&self) -> PathBuf {
        self.folder.join("certificate.json")
    }

    fn revocations_path(&self) -> PathBuf {
        self.folder.join("revocations.json")
    }

    /// Returns the TLS key (PEM, a secret), and makes it if there is none.
    pub(crate) fn key(&self) -> Result<String, HomeError> {
        self.made_once(&self.key_path(), || new_key().map_err(|error| HomeError::NoKey(error.to_string())))
    }

    /// Returns the key that signs manifests, and makes it if there is none.
    pub(crate) fn signer(&self) -> Result<Signer, HomeError> {
        let path = self.signing_key_path();
        let make = || Signer::generate().map(|signer| signer.to_pem());
        let text = self
            .made_once(&path, || make().ok_or_else(|| HomeError::NoKey("the system gives no randomness".to_owned())))?;
        Signer::from_pem(&text).ok_or_else(|| damaged(&path, "not an Ed25519 key in PKCS #8 PEM form"))
    }

    /// Returns the content of `path`, and makes the file if there is none.
    fn made_once(&self, path: &Path, make: impl FnOnce() -> Result<String, HomeError>) -> Result<String, HomeError> {
        if let Some(text) = read(path)? {
            return Ok(text);
        }
        private_folder(&self.folder)?;
        let text = make()?;
        match create_atomically(path, text.as_bytes()).map_err(HomeError::io("writing", path))? {
            true => Ok(text),
            // Another process made it first.
            false => read(path)?.ok_or_else(|| HomeError::io("reading", path)(io::ErrorKind::NotFound.into())),
        }
    }

    /// Returns the identity of this account at this tracker. A certificate that is damaged, of another account or of
    /// another key counts as absent, because the tracker issues another one.
    pub fn load(&self, tracker: &str, peer: PeerId) -> Result<Option<Identity>, HomeError> {
        let certificate = read(&self.certificate_path())?;
        let key = read(&self.key_path())?;
        let Some(text) = certificate else { return Ok(None) };
        let Some(key) = key else { return Ok(None) };
        let stored = serde_json::from_str::<StoredCertificate>(&text).ok();
        let ours = stored.filter(|stored| stored.peer_id.parse() == Ok(peer) && same_swarm(&stored.tracker, tracker));
        Ok(ours.and_then(|stored| {
            let StoredCertificate { certificate, authorities, obtained_at, expires_at, .. } = stored;
            Identity::new(IdentityParts { peer, key, certificate, authorities, obtained_at, expires_at }).ok()
        }))
    }

    /// Replaces the certificate; the key stays.
    pub(crate) fn save(&self, tracker: &str, identity: &Identity) -> Result<(), HomeError> {
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

    /// Returns the revoked accounts and devices as the tracker sent them last. A damaged file counts as absent, because
    /// the tracker is asked anyway.
    pub(crate) fn load_revocations(&self, tracker: &str) -> Option<Revocations> {
        let text = read(&self.revocations_path()).ok()??;
        let stored: StoredRevocations = serde_json::from_str(&text).ok()?;
        let accounts: Option<BTreeSet<_>> = stored.accounts.iter().map(|account| account.parse().ok()).collect();
        let devices: Option<BTreeSet<DeviceId>> = stored.devices.iter().map(|device| device.parse().ok()).collect();
        let ask_again = Duration::from_secs(stored.ask_again_seconds);
        let revocations = Revocations { accounts: accounts?, devices: devices?, etag: stored.etag, ask_again };
        same_swarm(&stored.tracker, tracker).then_some(revocations)
    }

    /// Stores the revoked accounts and devices for the next start.
    pub(crate) fn save_revocations(&self, tracker: &str, revocations: &Revocations) -> Result<(), HomeError> {
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

    /// Returns the trackers' key set (RFC 7517) as they sent it last. A damaged file counts as absent.
    pub(crate) fn load_tracker_keys(&self, tracker: &str) -> Option<String> {
        let stored: StoredTrackerKeys = serde_json::from_str(&read(&self.tracker_keys_path()).ok()??).ok()?;
        same_swarm(&stored.tracker, tracker).then(|| stored.key_set.to_string())
    }

    /// Stores the trackers' key set for the next start, when no tracker may answer.
    pub(crate) fn save_tracker_keys(&self, tracker: &str, key_set: &serde_json::Value) -> Result<(), HomeError> {
        let stored = StoredTrackerKeys { version: 1, tracker: tracker.to_owned(), key_set: key_set.clone() };
        write_json(&self.tracker_keys_path(), &stored)
    }

    /// Removes the keys and the certificate, at the end of the membership.
    pub(crate) fn remove(&self) -> Result<(), HomeError> {
        let removed = [self.key_path(), self.signing_key_path(), self.certificate_path()]
            .map(|path| remove_if_there(&path).map_err(HomeError::io("removing", &path)));
        removed.into_iter().collect()
    }
}

/// Reads a text file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, HomeError> {
    let Some(bytes) = read_bounded(path, FILE_BYTES_MAX)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(io::Error::other);
    text.map(Some).map_err(HomeError::io("reading", path))
}

fn damaged(path: &Path, what: &str) -> HomeError {
    HomeError::Damaged { path: path.to_owned(), what: what.to_owned(), advice: "remove it, and share again" }
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
    fn the_signing_key_is_made_once_and_kept_when_damaged() {
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
    fn a_certificate_is_found_by_its_account_tracker_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        let peer = PeerId::from_random([1; 16]);
        let other = PeerId::from_random([2; 16]);
        assert_eq!(files.load(TRACKER, peer).unwrap(), None);
        let authority = Authority::new();
        let key = files.key().unwrap();
        let life = Life::day();
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
    fn damaged_files_that_the_tracker_can_replace_count_as_absent() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        for damage in [&b""[..], b"{", b"\xff", br#"{"version":1}"#] {
            for name in ["revocations.json", "signers.json"] {
                fs::write(folder.path().join(name), damage).unwrap();
            }
            assert_eq!(files.load_revocations(TRACKER), None, "{damage:?}");
            assert_eq!(files.load_tracker_keys(TRACKER), None, "{damage:?}");
        }
        // Keys are never replaced: they may be the only ones.
        fs::write(files.key_path(), b"\xff").unwrap();
        assert!(matches!(files.key(), Err(HomeError::Io { .. })));
        assert_eq!(fs::read(files.key_path()).unwrap(), b"\xff");
    }

    #[test]
    fn the_keys_of_trackers_are_stored_by_swarm() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        let set = serde_json::json!({"keys": []});
        files.save_tracker_keys(TRACKER, &set).unwrap();
        assert_eq!(files.load_tracker_keys("https://u:1,https://t:1"), Some(set.to_string()));
        assert_eq!(files.load_tracker_keys("https://u:1"), None);
        assert_eq!(mode(&folder.path().join("signers.json")), 0o600);
    }

    #[test]
    fn revocations_are_stored_by_swarm() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        assert_eq!(files.load_revocations(TRACKER), None);
        let accounts = [PeerId::from_random([3; 16])].into();
        let devices = [DeviceId::from_random([4; 16])].into();
        let ask_again = Duration::from_secs(9);
        let revocations = Revocations { accounts, devices, etag: Some("\"1\"".to_owned()), ask_again };
        files.save_revocations(TRACKER, &revocations).unwrap();
        assert_eq!(files.load_revocations(TRACKER), Some(revocations));
        assert_eq!(files.load_revocations("https://u:1"), None);
        assert_eq!(mode(&folder.path().join("revocations.json")), 0o600);
    }

    fn revocations() -> Revocations {
        Revocations {
            accounts: (1..4).map(|number| PeerId::from_random([number; 16])).collect(),
            devices: (4..6).map(|number| DeviceId::from_random([number; 16])).collect(),
            etag: Some("\"7\"".to_owned()),
            ask_again: Duration::from_secs(60),
        }
    }

    #[test]
    fn cut_off_revocations_count_as_absent_and_never_as_fewer() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        files.save_revocations(TRACKER, &revocations()).unwrap();
        let path = folder.path().join("revocations.json");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let expected = (cut + 1 == whole.len()).then(revocations);
            assert_eq!(files.load_revocations(TRACKER), expected, "{cut}");
        }
        // One id that cannot be read makes the list useless: whom it names is unknown.
        let text = String::from_utf8(whole).unwrap();
        for id in revocations().accounts.iter().map(ToString::to_string) {
            fs::write(&path, text.replace(&id, "someone")).unwrap();
            assert_eq!(files.load_revocations(TRACKER), None, "{id}");
        }
        for id in revocations().devices {
            fs::write(&path, text.replace(&id.to_string(), "something")).unwrap();
            assert_eq!(files.load_revocations(TRACKER), None, "{id}");
        }
    }

    #[test]
    fn revocations_from_before_devices_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        let peer = PeerId::from_random([1; 16]);
        let old = format!(r#"{{"version":1,"tracker":"{TRACKER}","accounts":["{peer}"],"ask_again_seconds":9}}"#);
        fs::write(folder.path().join("revocations.json"), old).unwrap();
        let ask_again = Duration::from_secs(9);
        let expected = Revocations { accounts: [peer].into(), devices: BTreeSet::new(), etag: None, ask_again };
        assert_eq!(files.load_revocations(TRACKER), Some(expected));
    }

    #[test]
    fn a_certificate_cut_off_anywhere_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        let peer = PeerId::from_random([1; 16]);
        let authority = Authority::new();
        let key = files.key().unwrap();
        let life = Life::day();
        let certificate = authority.issue(&[peernet_protos::identity::peer_name(&peer.to_string())], &key, life);
        let Life { obtained_at, expires_at } = life;
        let parts = IdentityParts { peer, key, certificate, authorities: authority.pem(), obtained_at, expires_at };
        files.save(TRACKER, &Identity::new(parts).unwrap()).unwrap();
        let whole = fs::read(files.certificate_path()).unwrap();
        for cut in 0..whole.len() - 1 {
            fs::write(files.certificate_path(), &whole[..cut]).unwrap();
            assert_eq!(files.load(TRACKER, peer).unwrap(), None, "{cut}");
        }
        fs::write(files.certificate_path(), &whole).unwrap();
        assert!(files.load(TRACKER, peer).unwrap().is_some());
        fs::remove_file(files.key_path()).unwrap();
        assert_eq!(files.load(TRACKER, peer).unwrap(), None, "a certificate without its key is useless");
    }

    #[test]
    fn an_unreadable_signing_key_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(folder.path().to_owned());
        let message = |files: &IdentityFiles| {
            let error = files.signer().err().expect("the key is damaged");
            error.to_string().replace(folder.path().to_str().unwrap(), "HOME")
        };
        let expected =
            "HOME/signing-key.pem is damaged (not an Ed25519 key in PKCS #8 PEM form): remove it, and share again";
        let path = folder.path().join("signing-key.pem");
        // The TLS key is of another kind.
        fs::write(&path, new_key().unwrap()).unwrap();
        assert_eq!(message(&files), expected);
        let good = Signer::generate().unwrap().to_pem();
        for cut in 0..good.len() - 2 {
            fs::write(&path, &good[..cut]).unwrap();
            assert_eq!(message(&files), expected, "{cut}");
        }
    }
}
