//! The paths that a listing may have: relative, with components that are harmless on every system, and forming one
//! tree.

use std::fmt;

use crate::collection::{CollectionError, PATH_BYTES_MAX, PATH_DEPTH_MAX};
use crate::names::is_safe;

/// The reason that a path is not allowed in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// Longer than [`PATH_BYTES_MAX`].
    TooLong,
    /// More components than [`PATH_DEPTH_MAX`].
    TooDeep,
    /// A component that [`crate::names::sanitise`] would change: empty, `.`, `..`, too long, a device's name, or with a
    /// forbidden character.
    Component,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the name is not UTF-8; rename it to share it"),
            Self::TooLong => write!(f, "the path is longer than {PATH_BYTES_MAX} bytes"),
            Self::TooDeep => write!(f, "the path is deeper than {PATH_DEPTH_MAX} folders"),
            Self::Component => f.write_str("other systems do not accept this name; rename it to share it"),
        }
    }
}

impl std::error::Error for PathError {}

/// Checks that `path` may be in a listing.
pub fn check(path: &str) -> Result<(), PathError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    // The separators are counted first. Otherwise a path that consists of them would be checked component by component.
    if path.bytes().filter(|byte| *byte == b'/').count() >= PATH_DEPTH_MAX {
        return Err(PathError::TooDeep);
    }
    if path.split('/').all(is_safe) { Ok(()) } else { Err(PathError::Component) }
}

/// Checks that these paths, in this order, form one tree in which each of them is a leaf.
pub(super) fn check_all<'a>(paths: impl Iterator<Item = &'a str>) -> Result<(), CollectionError> {
    let mut previous = "";
    // Lengths of the earlier paths that are text prefixes of `previous`. In ascending order, all paths between a path
    // and its descendants begin with it too. So the ancestors of a path are always among these.
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
