//! The small files a node keeps: read within a bound, written as JSON and whole.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::{private_folder, write_atomically};
use crate::error::NodeError;

/// What is in the file; `None` where there is none. One of more than `bytes_max` bytes is not ours, and an error.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, NodeError> {
    let failed = NodeError::local("reading", path);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(metadata) if metadata.len() > bytes_max => {
            Err(failed(io::Error::other("the file is too large to be what it should be")))
        }
        Ok(_) => fs::read(path).map(Some).map_err(failed),
    }
}

/// Replaces the file, whose folder is made where it is not there. `value` is of strings, numbers and lists only.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), NodeError> {
    if let Some(folder) = path.parent() {
        private_folder(folder)?;
    }
    let mut bytes = serde_json::to_vec_pretty(value).expect("strings and numbers only");
    bytes.push(b'\n');
    write_atomically(path, &bytes).map_err(NodeError::local("writing", path))
}
