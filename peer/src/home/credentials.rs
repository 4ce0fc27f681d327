//! `credentials.json`: the account of a node, its tracker and its tokens. The password is never stored.

mod lock;
mod stored;

use std::fmt;
use std::path::{Path, PathBuf};

use peernet_engine::ids::{DeviceId, PeerId};

use self::stored::Stored;
use super::small::{read_bounded, write_json};
use super::{HomeError, private_folder, remove_if_there};
use crate::identity::Scope;

pub(crate) use lock::CredentialsLock;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The result of a login, as it is stored.
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
    /// When the token was issued, seconds since 1970-01-01 UTC.
    pub obtained_at: u64,
    /// When the token expires, in the same unit; 0 if unknown.
    pub expires_at: u64,
    /// The device that the tracker knows this login by; `None` for a login from before there were devices.
    pub device: Option<DeviceLogin>,
}

/// One login of an account on one machine.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceLogin {
    /// The device's id.
    pub id: DeviceId,
    /// The name that its owner gave it.
    pub label: String,
    /// The scopes that were requested; empty for all.
    pub scopes: Vec<Scope>,
    /// Gets the next tokens, once. A secret.
    pub refresh_token: String,
    /// When the refresh token expires unless it is used, seconds since 1970-01-01 UTC; 0 if unknown.
    pub refresh_expires_at: u64,
}

impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin")
            .field("id", &self.id)
            .field("label", &self.label)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("tracker", &self.tracker)
            .field("peer_id", &self.peer_id)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reports whether three quarters of the token's life are over at `now` (seconds since 1970), so that it is to be
    /// renewed.
    pub fn is_stale(&self, now: u64) -> bool {
        let life = self.expires_at.saturating_sub(self.obtained_at);
        self.expires_at != 0 && now >= self.obtained_at.saturating_add(life / 4 * 3)
    }

    /// Reports whether the token has expired at `now`.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at != 0 && now >= self.expires_at
    }
}

/// The file `credentials.json`, mode 0600. Several processes may use it; each write replaces it whole.
#[derive(Debug, Clone)]
pub struct CredentialsFile {
    path: PathBuf,
}

impl CredentialsFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file; `None` if there is none.
    pub fn load(&self) -> Result<Option<Credentials>, HomeError> {
        let Some(bytes) = read_bounded(&self.path, FILE_BYTES_MAX)? else { return Ok(None) };
        let advice = "log in again with `peernet login`";
        let damaged = |what: String| HomeError::Damaged { path: self.path.clone(), what, advice };
        // serde's message may quote the text, and the text may hold the token.
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| damaged(format!("line {}", e.line())))?;
        stored.into_credentials().map(Some).map_err(|e| damaged(e.to_string()))
    }

    /// Replaces the file.
    pub fn save(&self, credentials: &Credentials) -> Result<(), HomeError> {
        write_json(&self.path, &Stored::from(credentials.clone()))
    }

    /// Removes the file, at the end of the login.
    pub(crate) fn remove(&self) -> Result<(), HomeError> {
        remove_if_there(&self.path).map_err(HomeError::io("removing", &self.path))
    }

    /// Takes the lock for reading the file and changing it. The processes of one folder take turns: if two presented
    /// one refresh token to the tracker, the second would look like a thief.
    pub(crate) fn lock(&self) -> Result<CredentialsLock, HomeError> {
        if let Some(folder) = self.path.parent() {
            private_folder(folder)?;
        }
        CredentialsLock::take(&self.path.with_file_name("credentials.lock"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
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
            device: Some(DeviceLogin {
                id: DeviceId::from_random([8; 16]),
                label: "laptop".to_owned(),
                scopes: vec![Scope::Read],
                refresh_token: "pnr_very-secret".to_owned(),
                refresh_expires_at: 900,
            }),
        }
    }

    #[test]
    fn saved_credentials_are_loaded_and_closed_to_others() {
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
    fn a_file_from_before_devices_is_read_and_written_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::new(folder.path().join("credentials.json"));
        let peer = PeerId::from_random([7; 16]);
        let old = format!(
            r#"{{"version":1,"tracker":"http://t:1","peer_id":"{peer}","token":"t","obtained_at":0,"expires_at":0}}"#
        );
        fs::write(file.path(), &old).unwrap();
        let credentials = file.load().unwrap().unwrap();
        assert_eq!((credentials.peer_id, &credentials.device), (peer, &None));
        file.save(&credentials).unwrap();
        let again = fs::read_to_string(file.path()).unwrap();
        assert_eq!(again.split_whitespace().collect::<String>(), old);
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.load().unwrap(), None);
    }

    #[test]
    fn a_token_is_stale_after_three_quarters_of_its_life() {
        let credentials = example();
        assert_eq!([399, 400, 499, 500].map(|now| credentials.is_stale(now)), [false, true, true, true]);
        assert_eq!([499, 500].map(|now| credentials.is_expired(now)), [false, true]);
        assert!(!Credentials { expires_at: 0, ..credentials }.is_stale(u64::MAX));
    }

    #[test]
    fn a_file_cut_off_anywhere_never_gives_other_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::new(folder.path().join("credentials.json"));
        file.save(&example()).unwrap();
        let whole = fs::read(file.path()).unwrap();
        for cut in 0..whole.len() {
            fs::write(file.path(), &whole[..cut]).unwrap();
            match file.load() {
                // Only the line break at the end may be missing.
                Ok(found) => assert_eq!((cut, found), (whole.len() - 1, Some(example()))),
                Err(error) => assert!(matches!(error, HomeError::Damaged { .. }), "{cut}: {error}"),
            }
        }
    }

    #[test]
    fn no_flipped_byte_brings_a_secret_into_a_message() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::new(folder.path().join("credentials.json"));
        file.save(&example()).unwrap();
        let whole = fs::read(file.path()).unwrap();
        let mut refused = 0;
        for place in 0..whole.len() {
            for flip in [1, 0x20, 0x80] {
                let mut bent = whole.clone();
                bent[place] ^= flip;
                fs::write(file.path(), &bent).unwrap();
                if let Err(error) = file.load() {
                    refused += 1;
                    let text = format!("{error} {error:?}");
                    assert!(!text.contains("secret") && text.contains("peernet login"), "{place}: {text}");
                }
            }
        }
        assert!(refused > whole.len(), "{refused} of {} changes are noticed", 3 * whole.len());
    }

    #[test]
    fn ids_that_are_none_are_damage_and_new_scopes_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::new(folder.path().join("credentials.json"));
        file.save(&example()).unwrap();
        let whole = fs::read_to_string(file.path()).unwrap();
        let load = |from: &str, to: &str| {
            assert!(whole.contains(from), "{from}");
            fs::write(file.path(), whole.replace(from, to)).unwrap();
            file.load().map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), "HOME"))
        };
        let uuid = "expected a UUID such as 123e4567-e89b-42d3-a456-426614174000";
        let damaged =
            |what: &str| Err(format!("HOME/credentials.json is damaged ({what}): log in again with `peernet login`"));
        let peer = example().peer_id.to_string();
        assert_eq!(load(&peer, "alice"), damaged(&format!("not a peer id: {uuid}")));
        let device = example().device.unwrap().id.to_string();
        assert_eq!(load(&device, "laptop"), damaged(&format!("not a device id: {uuid}")));
        assert_eq!(load("\"version\"", "version"), damaged("line 2"));
        let newer = load("\"read\"", "\"read\", \"of a later version\"").unwrap().unwrap();
        assert_eq!(newer, example(), "the tracker knows the scope that this version does not");
        let future = load("\"version\": 1", "\"version\": 1,\n  \"later\": true").unwrap();
        assert_eq!(future, Some(example()), "a later version may add fields");
        let half = load("\"device_id\"", "\"another_id\"").unwrap().unwrap();
        assert_eq!(half, Credentials { device: None, ..example() }, "a device is known by its id and its token");
    }

    #[test]
    fn files_up_to_the_bound_are_read_and_longer_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::new(folder.path().join("credentials.json"));
        file.save(&example()).unwrap();
        let whole = fs::read_to_string(file.path()).unwrap();
        let padded = |bytes: usize| whole.clone() + &" ".repeat(bytes - whole.len());
        fs::write(file.path(), padded(FILE_BYTES_MAX as usize)).unwrap();
        assert_eq!(file.load().unwrap(), Some(example()));
        fs::write(file.path(), padded(FILE_BYTES_MAX as usize + 1)).unwrap();
        let expected = "the file has 65537 bytes; the limit is 65536 bytes";
        assert!(file.load().unwrap_err().to_string().ends_with(expected));
    }

    #[test]
    fn the_expiry_of_a_token_never_overflows() {
        let of = |obtained_at, expires_at| Credentials { obtained_at, expires_at, ..example() };
        for (credentials, now, is_stale, is_expired) in [
            (of(0, 4), 2, false, false),
            (of(0, 4), 3, true, false),
            (of(0, 4), 4, true, true),
            (of(u64::MAX, 1), 0, false, false),
            (of(u64::MAX, 1), 1, false, true),
            (of(u64::MAX - 4, u64::MAX), u64::MAX - 2, false, false),
            (of(u64::MAX - 4, u64::MAX), u64::MAX, true, true),
            (of(5, 0), u64::MAX, false, false),
        ] {
            let found = (credentials.is_stale(now), credentials.is_expired(now));
            assert_eq!(found, (is_stale, is_expired), "{} {} {now}", credentials.obtained_at, credentials.expires_at);
        }
    }
}
