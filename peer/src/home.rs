//! The folders and files of a node: configuration and state, by the XDG rules or all under `PEERNET_HOME`.
//!
//! The state folder has mode 0700 and its files 0600. Every write replaces a file whole and is synced, so that a crash
//! leaves the old file or the new one. Several processes may use one folder; `credentials.lock` and `serving.lock`
//! order them.

mod atomic;
mod credentials;
mod error;
mod identity;
mod lock;
mod small;
mod trust;
mod version1;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use atomic::remove_if_there;
pub(crate) use atomic::write_atomically;
pub use credentials::Credentials;
pub(crate) use credentials::{CredentialsFile, DeviceLogin};
pub(crate) use error::HomeError;
pub(crate) use identity::IdentityFiles;
pub(crate) use lock::HomeLock;
pub(crate) use trust::TrustFile;
pub(crate) use version1::Version1Config;
pub use version1::parse_version1;

/// The mode of our folders: only the owner may look into them.
const FOLDER_MODE: u32 = 0o700;

/// Tells whether two lists of tracker URLs have one in common, so that they are of one swarm. Stored state is of a
/// swarm.
pub(crate) fn same_swarm(one: &str, other: &str) -> bool {
    let others: Vec<&str> = other.split(',').collect();
    one.split(',').any(|url| others.contains(&url))
}

/// The places of configuration and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    config: PathBuf,
    state: PathBuf,
    version1: Option<PathBuf>,
}

impl Home {
    /// Puts everything into one folder. Version 1's configuration is not looked for.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { config: folder.clone(), state: folder, version1: None }
    }

    /// Finds the folders by the environment: `PEERNET_HOME`, or `XDG_CONFIG_HOME` and `XDG_STATE_HOME`, or
    /// `HOME/.config` and `HOME/.local/state`.
    ///
    /// `var` reads one variable. Empty variables count as absent. So do relative XDG paths, as their specification
    /// says.
    pub fn from_environment(var: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HomeError> {
        let path = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let version1 = home.as_ref().map(|home| home.join(".peernet/config.yaml"));
        if let Some(folder) = path("PEERNET_HOME") {
            return Ok(Self { version1, ..Self::at(folder) });
        }
        let xdg = |name: &str, fallback: &str| {
            let chosen = path(name).filter(|path| path.is_absolute());
            chosen.or_else(|| home.as_ref().map(|home| home.join(fallback))).map(|base| base.join("peernet"))
        };
        match (xdg("XDG_CONFIG_HOME", ".config"), xdg("XDG_STATE_HOME", ".local/state")) {
            (Some(config), Some(state)) => Ok(Self { config, state, version1 }),
            _ => Err(HomeError::NoFolder),
        }
    }

    /// Returns the path of `config.toml`, which may be absent.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// Returns the folder of the account, the shares and the control socket.
    pub fn state_folder(&self) -> &Path {
        &self.state
    }

    /// Returns the folder with one file per share.
    pub fn shares_folder(&self) -> PathBuf {
        self.state.join("shares")
    }

    /// Returns the file of the account's tokens.
    pub fn credentials(&self) -> CredentialsFile {
        CredentialsFile::new(self.state.join("credentials.json"))
    }

    /// Returns the files of the device's keys, its certificate and the revoked accounts.
    pub fn identity(&self) -> IdentityFiles {
        IdentityFiles::new(self.state.clone())
    }

    /// Returns the file of the authorities that this node trusts.
    pub fn trust(&self) -> TrustFile {
        TrustFile::new(self.state.join("trust.json"))
    }

    /// Returns the path of the daemon's control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.state.join("control.sock")
    }

    /// Returns the lock file of the one node that serves this folder's shares.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.state.join("serving.lock")
    }

    /// Returns the path at which version 1 kept its configuration, if it is to be looked for.
    pub fn version1_file(&self) -> Option<&Path> {
        self.version1.as_deref()
    }

    /// Makes the state folder with mode 0700, or closes it to others if it exists.
    pub(crate) fn prepare(&self) -> Result<(), HomeError> {
        private_folder(&self.state)
    }
}

/// Makes `folder` and its parents, and closes `folder` itself to others.
pub(crate) fn private_folder(folder: &Path) -> Result<(), HomeError> {
    let failed = HomeError::io("making the folder", folder);
    let made = fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder).and_then(|()| {
        let mode = fs::metadata(folder)?.permissions().mode();
        match mode & 0o077 {
            0 => Ok(()),
            _ => fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE)),
        }
    });
    made.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: Option<(&str, &str)>) {
        let var = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        let home = Home::from_environment(&var).ok();
        let got = home.as_ref().map(|home| (home.config_file(), home.shares_folder()));
        assert_eq!(got, expected.map(|(config, shares)| (config.into(), shares.into())), "{variables:?}");
    }

    #[test]
    fn folders_follow_peernet_home_then_xdg_then_home() {
        check(&[("HOME", "/u")], Some(("/u/.config/peernet/config.toml", "/u/.local/state/peernet/shares")));
        check(
            &[("HOME", "/u"), ("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "/s")],
            Some(("/c/peernet/config.toml", "/s/peernet/shares")),
        );
        check(
            &[("HOME", "/u"), ("XDG_CONFIG_HOME", "relative"), ("XDG_STATE_HOME", "")],
            Some(("/u/.config/peernet/config.toml", "/u/.local/state/peernet/shares")),
        );
        check(
            &[("HOME", "/u"), ("PEERNET_HOME", "/p"), ("XDG_STATE_HOME", "/s")],
            Some(("/p/config.toml", "/p/shares")),
        );
        check(&[("PEERNET_HOME", "/p")], Some(("/p/config.toml", "/p/shares")));
        check(&[], None);
    }

    #[test]
    fn the_state_folder_is_closed_to_others_even_if_it_was_open() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
        Home::at(&state).prepare().unwrap();
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn every_file_lies_in_the_state_folder_under_its_name() {
        let var = |name: &str| match name {
            "HOME" => Some(OsString::from("/u")),
            "XDG_STATE_HOME" => Some(OsString::from("/s")),
            _ => None,
        };
        let home = Home::from_environment(&var).unwrap();
        let files = [
            home.credentials().path().to_owned(),
            home.trust().path().to_owned(),
            home.identity().key_path(),
            home.identity().certificate_path(),
            home.control_socket(),
            home.lock_file(),
            home.shares_folder(),
        ];
        let names = files.map(|path| path.strip_prefix("/s/peernet").unwrap().to_str().unwrap().to_owned());
        let expected = [
            "credentials.json",
            "trust.json",
            "identity-key.pem",
            "certificate.json",
            "control.sock",
            "serving.lock",
            "shares",
        ];
        assert_eq!(names, expected);
        assert_eq!(home.version1_file(), Some(Path::new("/u/.peernet/config.yaml")));
        assert_eq!(Home::at("/p").version1_file(), None, "an embedding program has no version 1");
    }

    #[test]
    fn swarms_are_the_same_if_they_share_a_tracker() {
        for (one, other, expected) in [
            ("https://a", "https://a", true),
            ("https://a,https://b", "https://b,https://c", true),
            ("https://a,https://b", "https://c", false),
            ("https://a", "https://a:443", false),
            ("https://a", "https://ab", false),
        ] {
            assert_eq!(same_swarm(one, other), expected, "{one} {other}");
            assert_eq!(same_swarm(other, one), expected, "{other} {one}");
        }
    }
}
