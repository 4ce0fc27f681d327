//! Errors about the folders and files of a node.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The reason that a folder or file of a node cannot be used. Its `Display` says how to mend it.
#[derive(Debug)]
pub enum HomeError {
    /// The environment names no folder.
    NoFolder,
    /// The file system refused.
    Io {
        /// The attempted action, for example `reading`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// The file is larger than any that a node writes.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The size, in bytes.
        bytes: u64,
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// The file's content is not the work of a node.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The defect, without the content: that may be a secret.
        what: String,
        /// The advice to the user.
        advice: &'static str,
    },
    /// A new key could not be made.
    NoKey(String),
    /// Another process serves from the folder.
    Served(PathBuf),
    /// Another process has held a lock for too long.
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// The time of the wait.
        waited: Duration,
    },
}

impl HomeError {
    /// Makes a function that wraps an error of the system.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder => f.write_str(
                "neither HOME nor PEERNET_HOME is set: name a folder for configuration and state with PEERNET_HOME",
            ),
            Self::Io { doing, path, error } => write!(f, "{doing} {}: {error}", path.display()),
            Self::TooLarge { path, bytes, bytes_max } => {
                write!(f, "reading {}: the file has {bytes} bytes; the limit is {bytes_max} bytes", path.display())
            }
            Self::Damaged { path, what, advice } => write!(f, "{} is damaged ({what}): {advice}", path.display()),
            Self::NoKey(why) => write!(f, "cannot make a key: {why}"),
            Self::Served(folder) => write!(
                f,
                "a daemon already serves {}; `peernet status` shows it, or give this one its own PEERNET_HOME",
                folder.display()
            ),
            Self::Locked { path, waited } => write!(
                f,
                "another process has held {} for more than {} s; is it stopped?",
                path.display(),
                waited.as_secs()
            ),
        }
    }
}

impl std::error::Error for HomeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_file_and_what_to_do() {
        let path = || PathBuf::from("/p/f");
        let denied = HomeError::io("reading", Path::new("/p/f"))(io::ErrorKind::PermissionDenied.into());
        for (error, expected) in [
            (denied, "reading /p/f: permission denied"),
            (
                HomeError::TooLarge { path: path(), bytes: 9, bytes_max: 8 },
                "reading /p/f: the file has 9 bytes; the limit is 8 bytes",
            ),
            (
                HomeError::Damaged { path: path(), what: "line 3".to_owned(), advice: "remove it" },
                "/p/f is damaged (line 3): remove it",
            ),
            (
                HomeError::Locked { path: path(), waited: Duration::from_secs(20) },
                "another process has held /p/f for more than 20 s; is it stopped?",
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn refusals_of_the_folder_say_how_to_go_on() {
        for (error, expected) in [
            (
                HomeError::NoFolder,
                "neither HOME nor PEERNET_HOME is set: name a folder for configuration and state with PEERNET_HOME",
            ),
            (HomeError::NoKey("no randomness".to_owned()), "cannot make a key: no randomness"),
            (
                HomeError::Served(PathBuf::from("/p")),
                "a daemon already serves /p; `peernet status` shows it, or give this one its own PEERNET_HOME",
            ),
        ] {
            assert_eq!(error.to_string(), expected);
            assert!(std::error::Error::source(&error).is_none(), "{expected}");
        }
        let system = HomeError::io("reading", Path::new("/p"))(io::ErrorKind::NotFound.into());
        assert!(std::error::Error::source(&system).is_some(), "the system's error stays at hand");
    }
}
