//! The errors of the list of shares.

use std::fmt;

use peernet_engine::ids::FileHash;

use crate::access::VisibilityError;
use crate::home::HomeError;

/// The reason that the list of shares could not be read or changed.
#[derive(Debug)]
pub enum ShareError {
    /// The disk failed, or the folder may not be used.
    Home(HomeError),
    /// No share of this node has the file.
    NotShared(FileHash),
    /// The visibility of the file could not be stored.
    Visibility(VisibilityError),
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home(error) => error.fmt(f),
            Self::NotShared(file_hash) => write!(f, "{file_hash} is not shared here"),
            Self::Visibility(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShareError {}

impl From<VisibilityError> for ShareError {
    fn from(error: VisibilityError) -> Self {
        Self::Visibility(error)
    }
}

impl From<HomeError> for ShareError {
    fn from(error: HomeError) -> Self {
        Self::Home(error)
    }
}
