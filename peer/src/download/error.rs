//! The ways a download fails.

use std::fmt;
use std::io;
use std::path::PathBuf;

use peernet_engine::download::Why;

use crate::discovery::DiscoveryError;

/// The reason why a download has no file. Verified chunks stay for the next run in every case.
#[derive(Debug)]
pub enum FetchError {
    /// [`crate::cancel::Cancel::cancel`] was called.
    Cancelled,
    /// No provider has an answer, and nothing else is known about the file.
    Discovery(DiscoveryError),
    /// Sources are known, but they did not deliver.
    GaveUp(Why),
    /// All sources speak plaintext only, and that was not allowed.
    OnlyPlaintext,
    /// The disk failed, is full or read-only, or the folder may not be written. No source is blamed.
    LocalDisk {
        /// The operation, with the path.
        doing: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The reader of the bytes ([`FetchJob::sink`](crate::download::FetchJob::sink)) failed.
    Sink(io::Error),
    /// The sink got the bytes of a manifest that proved false. They cannot be taken back.
    DeliveredWrong,
    /// There is a file at the final path already. It was not touched.
    Exists(PathBuf),
    /// Another process downloads into the same part file.
    InUse(PathBuf),
    /// Every manifest was proven false: its chunks are right, and the file they make has another hash.
    WrongFile,
    /// The listing of a directory is false: every chunk is right, and this file is not the one that it promises.
    FalseListing(String),
    /// The file is larger than the download accepts.
    TooLarge {
        /// Bytes of the file.
        size: u64,
        /// The most bytes accepted.
        max: u64,
    },
    /// No manifest could be had, neither from a provider nor from a source.
    NoManifest,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Discovery(error) => write!(f, "{error}"),
            Self::GaveUp(why) => write!(f, "{why}"),
            Self::OnlyPlaintext => f.write_str(
                "all sources of this file speak plaintext only, so their identity is not proven and anyone on the path could \
                 read it; use --allow-plaintext to download it nevertheless",
            ),
            Self::LocalDisk { doing, error } => write!(f, "{doing}: {error}"),
            Self::Sink(error) => write!(f, "writing the output: {error}"),
            Self::DeliveredWrong => f.write_str(
                "the bytes that were written are not the file asked for; discard them (a link with xm is safe from the first byte)",
            ),
            Self::Exists(path) => write!(f, "{} exists already and is not overwritten", path.display()),
            Self::InUse(path) => write!(f, "{} is in use by another download", path.display()),
            Self::WrongFile => f.write_str("every manifest was false: the sources' chunks make a file with another hash"),
            Self::FalseListing(file) => {
                write!(f, "the listing is false: {file:?} is not the file that it promises; ask for the link again")
            }
            Self::TooLarge { size, max } => write!(f, "the file is {size} bytes; the limit is {max}"),
            Self::NoManifest => f.write_str("no provider and no source has a manifest of this file"),
        }
    }
}

impl std::error::Error for FetchError {}

impl FetchError {
    /// Makes an error of the local disk while `doing` something, for `map_err`.
    pub(crate) fn local(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::LocalDisk { doing, error }
    }
}
