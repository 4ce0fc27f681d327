//! Why a download did not end with a file.

use std::fmt;
use std::io;
use std::path::PathBuf;

use peernet_engine::download::Why;

use crate::discovery::DirectoryError;

/// Why there is no file. Whatever the reason, what was verified stays for the next run, except where a variant says
/// otherwise.
#[derive(Debug)]
pub enum FetchError {
    /// [`crate::cancel::Cancel::cancel`] was called.
    Cancelled,
    /// The directory has no answer and nothing else is known about the file.
    Directory(DirectoryError),
    /// Sources are known, but they did not deliver.
    GaveUp(Why),
    /// All who offer it speak plaintext only, and that was not allowed.
    OnlyPlaintext,
    /// The disk failed, is full or read-only, or the folder is not ours to write to. No source is blamed.
    LocalDisk {
        /// What was tried, with the path.
        doing: String,
        /// What the system says.
        error: io::Error,
    },
    /// The reader of the bytes ([`FetchJob::sink`](crate::download::FetchJob::sink)) takes no more.
    Sink(io::Error),
    /// The bytes that went to the reader are those of a manifest that proved false. They cannot be taken back.
    DeliveredWrong,
    /// Something is at the final path already; it was not touched.
    Exists(PathBuf),
    /// Another process downloads into the same part file.
    InUse(PathBuf),
    /// Every manifest on offer was proven false: its chunks are right, and the file they make has another hash.
    WrongFile,
    /// Of a directory: every chunk is the one that was promised, and this file of it is not.
    FalseListing(String),
    /// It is larger than it may be, in bytes.
    TooLarge(u64),
    /// No manifest could be had, neither from the directory nor from a source.
    NoManifest,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Directory(error) => write!(f, "{error}"),
            Self::GaveUp(why) => write!(f, "{why}"),
            Self::OnlyPlaintext => f.write_str(
                "all who offer it speak plaintext only, so that nobody could tell who they are and everybody in between could \
                 read along: --allow-plaintext takes it from them nevertheless",
            ),
            Self::LocalDisk { doing, error } => write!(f, "{doing}: {error}"),
            Self::Sink(error) => write!(f, "writing the output: {error}"),
            Self::DeliveredWrong => f.write_str(
                "the bytes that were written are not the file asked for: throw them away (a link with xm is safe from the first byte)",
            ),
            Self::Exists(path) => write!(f, "{} exists already and is not overwritten", path.display()),
            Self::InUse(path) => write!(f, "{} is in use by another download", path.display()),
            Self::WrongFile => f.write_str("what the sources offer under this hash is another file"),
            Self::FalseListing(file) => {
                write!(f, "the listing is false: {file:?} is not the file that it promises; ask for the link again")
            }
            Self::TooLarge(size) => write!(f, "its {size} bytes are too many for what it should be"),
            Self::NoManifest => f.write_str("no source could say what the file's chunks are"),
        }
    }
}

impl std::error::Error for FetchError {}

impl FetchError {
    /// For `map_err`: a failure of the local disk while `doing` something.
    pub(crate) fn local(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::LocalDisk { doing, error }
    }
}
