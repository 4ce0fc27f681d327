//! Which paths a listing may have: relative, of components that are harmless on every system, and together one tree.

use std::fmt;

use crate::collection::{CollectionError, PATH_BYTES_MAX, PATH_DEPTH_MAX};
use crate::names::is_safe;

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// Its bytes are not UTF-8.
    NotUtf8,
    /// Longer than [`PATH_BYTES_MAX`].
    TooLong,
    /// More components than [`PATH_DEPTH_MAX`].
    TooDeep,
    /// A component that [`crate::names::sanitise`] would change: empty, `.`, `..`, too long, a device's name, or with a
    /// character that may not be.
    Component,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the name is not UTF-8; rename it to share it"),
            Self::TooLong => write!(f, "the path is longer than {PATH_BYTES_MAX} bytes"),
            Self::TooDeep => write!(f, "the path is deeper than {PATH_DEPTH_MAX} folders"),
            Self::Component => f.write_str("a name that other systems do not take; rename it to share it"),
        }
    }
}

impl std::error::Error for PathError {}

/// Whether `path` may stand in a listing.
pub fn check(path: &str) -> Result<(), PathError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    // Counted before they are looked at, so that a path of separators only is not read component by component.
    if path.bytes().filter(|byte| *byte == b'/').count() >= PATH_DEPTH_MAX {
        return Err(PathError::TooDeep);
    }
    if path.split('/').all(is_safe) { Ok(()) } else { Err(PathError::Component) }
}

/// Whether these paths, in this order, make one tree in which every one of them is a leaf.
pub(super) fn check_all<'a>(paths: impl Iterator<Item = &'a str>) -> Result<(), CollectionError> {
    let mut previous = "";
    // Lengths of the earlier paths that `previous` begins with as text. In ascending order, nothing stands between a path
    // and what lies below it that does not begin with it too; so a path's ancestors are always among these.
    let mut beginnings: Vec<usize> = Vec::new();
    for path in paths {
        check(path).map_err(|why| CollectionError::Path { path: path.to_owned(), why })?;
        if path <= previous {
            return Err(CollectionError::Order(path.to_owned()));
        }
        let common = common_len(previous.as_bytes(), path.as_bytes());
        while beginnings.last().is_some_and(|len| *len > common) {
            beginnings.pop();
        }
        if let Some(len) = beginnings.iter().find(|len| path.as_bytes().get(**len) == Some(&b'/')) {
            return Err(CollectionError::NotAFolder(path[..*len].to_owned()));
        }
        beginnings.push(path.len());
        previous = path;
    }
    Ok(())
}

fn common_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
