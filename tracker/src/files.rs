//! Files that only their owner may read, and folders that keep a new name through a power cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// How to open a file for writing that is made with mode 0600 where it is not there yet.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Syncs the folder that a file is in, so that its name lasts as its bytes do.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
