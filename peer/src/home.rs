//! The folders a node lives in: configuration and state, by the XDG rules or all under `PEERNET_HOME`.

mod atomic;
mod credentials;
mod identity;
mod lock;
mod small;
mod trust;
mod version1;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::NodeError;

use atomic::remove_if_there;
pub(crate) use atomic::write_atomically;
pub use credentials::{Credentials, CredentialsFile, DeviceLogin};
pub use identity::IdentityFiles;
pub(crate) use lock::HomeLock;
pub use trust::TrustFile;
pub use version1::{Version1Config, parse_version1};

/// Only the owner may look into our folders.
const FOLDER_MODE: u32 = 0o700;

/// Where configuration and state lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    config: PathBuf,
    state: PathBuf,
    version1: Option<PathBuf>,
}

impl Home {
    /// Everything under one folder. Version 1's configuration is not looked for.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { config: folder.clone(), state: folder, version1: None }
    }

    /// As the environment says: `PEERNET_HOME`, or `XDG_CONFIG_HOME` and `XDG_STATE_HOME`, or `HOME/.config` and
    /// `HOME/.local/state`. `var` reads one variable; empty ones count as absent, relative XDG ones too (their rule).
    pub fn from_environment(var: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, NodeError> {
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
            _ => Err(NodeError::Invalid(
                "neither HOME nor PEERNET_HOME is set: say where to keep state with PEERNET_HOME".to_owned(),
            )),
        }
    }

    /// `config.toml`, which may be absent.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The folder of everything that lasts.
    pub fn state_folder(&self) -> &Path {
        &self.state
    }

    /// One file per share.
    pub fn shares_folder(&self) -> PathBuf {
        self.state.join("shares")
    }

    /// The account's tokens, mode 0600.
    pub fn credentials(&self) -> CredentialsFile {
        CredentialsFile::new(self.state.join("credentials.json"))
    }

    /// The device key, its certificate, and who is expelled, each of mode 0600.
    pub fn identity(&self) -> IdentityFiles {
        IdentityFiles::new(self.state.clone())
    }

    /// Whom this node takes for the authorities of its swarms, mode 0600.
    pub fn trust(&self) -> TrustFile {
        TrustFile::new(self.state.join("trust.json"))
    }

    /// The daemon's control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.state.join("control.sock")
    }

    /// Held by the one node that serves this folder's shares.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.state.join("serving.lock")
    }

    /// Version 1's configuration file, where one may lie.
    pub fn version1_file(&self) -> Option<&Path> {
        self.version1.as_deref()
    }

    /// Makes the state folder, mode 0700, and takes others' access away where it is there and open to them.
    pub(crate) fn prepare(&self) -> Result<(), NodeError> {
        private_folder(&self.state)
    }
}

/// Makes `folder` and its parents; `folder` itself is the owner's alone.
pub(crate) fn private_folder(folder: &Path) -> Result<(), NodeError> {
    let failed = NodeError::local("making the folder", folder);
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
}
