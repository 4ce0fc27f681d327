//! The errors of a node, by what its user can do about them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use peernet_engine::link::LinkError;

use crate::access::VisibilityError;
use crate::announce::AnnounceError;
use crate::discovery::DiscoveryError;
use crate::discovery::tracker::TrackerError;
use crate::download::FetchError;
use crate::files::hashing::HashError;
use crate::grpc::ServeError;
use crate::home::HomeError;
use crate::shares::ShareError;

/// The reason that a call of a [`crate::Node`] failed. Each variant says what the caller can do; the text names the
/// cause.
#[derive(Debug)]
pub enum NodeError {
    /// The request makes no sense: a bad hash, address, URL or setting.
    Invalid(String),
    /// There is no account, or its token has expired: log in.
    NotLoggedIn(String),
    /// The tracker or a source refuses: wrong password, address taken, not allowed.
    Refused {
        /// The tracker's stable error code, such as `insufficient_scope`; `None` if the refusal came without one.
        code: Option<String>,
        /// The refusal in words, with what to do.
        message: String,
    },
    /// No peer shares the file, or it is not shared here.
    NotFound(String),
    /// The tracker or every source cannot be reached or does not deliver: try again later.
    Unreachable(String),
    /// The bytes that were received or lie on the disk do not have the expected hash.
    Verification(String),
    /// The path exists and is not overwritten.
    Exists(PathBuf),
    /// The local disk or file system refused.
    Local {
        /// The operation, with the path.
        doing: String,
        /// The system's answer.
        error: io::Error,
    },
    /// Another process uses the node's folder, port or part file.
    InUse(String),
    /// The caller cancelled the call. Downloaded chunks stay for the next call.
    Cancelled,
    /// Any other failure: the tracker sent a reply that makes no sense, or a thread could not be started.
    Failed(String),
}

impl NodeError {
    /// Makes a function that wraps an error of the system.
    pub(crate) fn local(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |error| Self::Local { doing, error }
    }

    /// Makes a refusal without a code.
    fn refused(message: String) -> Self {
        Self::Refused { code: None, message }
    }

    /// Wraps the failure to start a thread.
    pub(crate) fn thread(error: io::Error) -> Self {
        Self::Local { doing: "starting a thread".to_owned(), error }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why)
            | Self::NotLoggedIn(why)
            | Self::Refused { message: why, .. }
            | Self::NotFound(why)
            | Self::Unreachable(why)
            | Self::Verification(why)
            | Self::InUse(why)
            | Self::Failed(why) => f.write_str(why),
            Self::Exists(path) => write!(f, "{} exists already and is not overwritten", path.display()),
            Self::Local { doing, error } => write!(f, "{doing}: {error}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for NodeError {}

impl From<VisibilityError> for NodeError {
    fn from(error: VisibilityError) -> Self {
        match error {
            VisibilityError::Io { doing, path, error } => Self::local(doing, &path)(error),
            VisibilityError::Damaged(_) => Self::Failed(error.to_string()),
        }
    }
}

impl From<ShareError> for NodeError {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Home(error) => error.into(),
            ShareError::NotShared(_) => Self::NotFound(error.to_string()),
            ShareError::Visibility(error) => error.into(),
        }
    }
}

impl From<AnnounceError> for NodeError {
    fn from(error: AnnounceError) -> Self {
        match error {
            AnnounceError::Late(_) => Self::Unreachable(error.to_string()),
            AnnounceError::Tracker(error) => error.into(),
        }
    }
}

impl From<HashError> for NodeError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Io { path, error } => Self::Local { doing: format!("reading {}", path.display()), error },
            HashError::NotAFile(_) | HashError::TooLarge(_) | HashError::Name { .. } | HashError::Collection(_) => {
                Self::Invalid(error.to_string())
            }
            HashError::Changed(_) => Self::Failed(format!("{error}; share it again when it no longer changes")),
            HashError::Cancelled => Self::Cancelled,
        }
    }
}

impl From<HomeError> for NodeError {
    fn from(error: HomeError) -> Self {
        match error {
            HomeError::Io { doing, path, error } => Self::Local { doing: format!("{doing} {}", path.display()), error },
            HomeError::TooLarge { .. } => {
                Self::Local { doing: "the node's folder".to_owned(), error: io::Error::other(error.to_string()) }
            }
            HomeError::NoFolder | HomeError::Damaged { .. } => Self::Invalid(error.to_string()),
            HomeError::Served(_) | HomeError::Locked { .. } => Self::InUse(error.to_string()),
            HomeError::NoKey(_) => Self::Failed(error.to_string()),
        }
    }
}

impl From<FetchError> for NodeError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Cancelled => Self::Cancelled,
            FetchError::Discovery(DiscoveryError::NotFound) | FetchError::NoManifest => {
                Self::NotFound(error.to_string())
            }
            FetchError::Discovery(DiscoveryError::Refused(why)) => Self::refused(why),
            FetchError::Discovery(DiscoveryError::Unreachable(why)) => Self::Unreachable(why),
            FetchError::GaveUp(peernet_engine::download::Why::BadHashes { .. })
            | FetchError::WrongFile
            | FetchError::FalseListing(_)
            | FetchError::TooLarge { .. }
            | FetchError::DeliveredWrong => Self::Verification(error.to_string()),
            FetchError::Sink(error) => Self::Local { doing: "writing the output".to_owned(), error },
            FetchError::GaveUp(peernet_engine::download::Why::LocalDisk) => {
                Self::Local { doing: "writing the download".to_owned(), error: io::Error::other(error.to_string()) }
            }
            FetchError::GaveUp(why) => Self::Unreachable(why.to_string()),
            FetchError::OnlyPlaintext => Self::Unreachable(error.to_string()),
            FetchError::LocalDisk { doing, error } => Self::Local { doing, error },
            FetchError::Exists(path) => Self::Exists(path),
            FetchError::InUse(_) => Self::InUse(error.to_string()),
        }
    }
}

impl From<TrackerError> for NodeError {
    fn from(error: TrackerError) -> Self {
        let text = error.to_string();
        match error {
            TrackerError::Unreachable { .. } | TrackerError::Busy { .. } => Self::Unreachable(text),
            TrackerError::NotLoggedIn | TrackerError::DeviceEnded(_) => Self::NotLoggedIn(text),
            TrackerError::Answered { status: 404, .. } => Self::NotFound(text),
            TrackerError::PlaintextRefused { .. } => Self::Invalid(text),
            TrackerError::NotTrusted { .. } => Self::NotLoggedIn(text),
            TrackerError::Impostor { .. }
            | TrackerError::OtherAuthority { .. }
            | TrackerError::NoAuthority { .. }
            | TrackerError::NoCertificate { .. }
            | TrackerError::NoDevices { .. } => Self::refused(text),
            TrackerError::Answered { status: 401 | 403 | 409, code, .. } => {
                Self::Refused { code: Some(code).filter(|code| !code.is_empty()), message: text }
            }
            TrackerError::Answered { status: 400..=499, .. } | TrackerError::BadUrl(_) => Self::Invalid(text),
            TrackerError::Answered { .. } | TrackerError::Malformed(_) => Self::Failed(text),
            TrackerError::LocalState(_) => {
                Self::Local { doing: "the account's credentials".to_owned(), error: io::Error::other(text) }
            }
            TrackerError::Cancelled => Self::Cancelled,
        }
    }
}

impl From<ServeError> for NodeError {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Address(_) => Self::Invalid(format!("the address to listen on: {error}")),
            ServeError::Bind { .. } => Self::InUse(format!("{error}; choose another one")),
            ServeError::Threads(_) | ServeError::Grpc(_) => Self::Failed(error.to_string()),
        }
    }
}

impl From<LinkError> for NodeError {
    fn from(error: LinkError) -> Self {
        Self::Invalid(error.to_string())
    }
}
