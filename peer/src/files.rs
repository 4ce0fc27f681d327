//! Local files: hashing them, writing downloads in progress, and reading shared files.
//!
//! - `hashing`: the manifest of a file or of a directory's files.
//! - `part`: a download in progress on the disk, with its journal.
//! - `identity`: how a file is recognised as the one that was hashed.
//! - `pack`: the files of a shared directory, read as one file.
//! - `read`: reads from a file that must still be the one that was hashed.
//! - `shared_file`: one file that is offered to other peers, complete or growing.
//!
//! This room knows no network, no tracker and no account.

pub(crate) mod hashing;
mod identity;
mod pack;
pub(crate) mod part;
mod read;
mod shared_file;

pub use identity::FileIdentity;
pub(crate) use identity::FileState;
pub use pack::PackFiles;
pub(crate) use pack::{OpenPack, PackError};
pub(crate) use read::ReadError;
pub(crate) use read::{check_identity, read_exact};
pub use shared_file::SharedFile;
pub(crate) use shared_file::{Callers, Reader, Watcher};
