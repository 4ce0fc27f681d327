//! Errors of starting a tracker.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fmt, io};

use crate::boot::config::ConfigError;
use crate::domain::authority::AuthorityError;
use crate::domain::keys::KeyError;
use crate::store::StoreError;

/// The reason why a tracker did not start. Nothing is left running.
#[derive(Debug)]
pub enum StartError {
    /// A setting is wrong.
    Config(ConfigError),
    /// The data folder cannot be made or is open to others.
    DataDir(PathBuf, io::Error),
    /// Another tracker runs on this data folder.
    InUse(PathBuf),
    /// The token key cannot be used.
    Key(KeyError),
    /// The swarm's authority, or a certificate, cannot be used.
    Authority(AuthorityError),
    /// The database cannot be opened, reached or upgraded.
    Store(StoreError),
    /// The public address cannot be bound.
    Listen(SocketAddr, io::Error),
    /// The operations listener cannot be bound.
    Ops(io::Error),
    /// The operating system gives no more threads.
    Threads(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::DataDir(path, error) => write!(f, "data folder {}: {error}", path.display()),
            Self::InUse(path) => write!(f, "a tracker is running on the data folder {}", path.display()),
            Self::Key(error) => write!(f, "{error}"),
            Self::Authority(error) => write!(f, "{error}"),
            Self::Store(error) => write!(f, "{error}"),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Ops(error) => write!(f, "operations listener: {error}"),
            Self::Threads(error) => write!(f, "cannot start threads: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<KeyError> for StartError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<AuthorityError> for StartError {
    fn from(error: AuthorityError) -> Self {
        Self::Authority(error)
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_failed_and_where() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let address: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        for (error, expected) in [
            (StartError::Config(ConfigError("listen: no".into())), "listen: no"),
            (StartError::DataDir("/d".into(), denied()), "data folder /d: permission denied"),
            (StartError::InUse("/d".into()), "a tracker is running on the data folder /d"),
            (StartError::Listen(address, denied()), "cannot listen on 127.0.0.1:80: permission denied"),
            (StartError::Ops(denied()), "operations listener: permission denied"),
            (StartError::Threads(denied()), "cannot start threads: permission denied"),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
