//! Writing small files so that a crash leaves either the old file or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The mode of our files: only the owner may read and write them.
const FILE_MODE: u32 = 0o600;

/// Replaces a file: writes a new one beside it, syncs that, renames it, and syncs the folder. The new file has mode
/// 0600 from the start.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    let written = write_synced(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _best_effort = fs::remove_file(&beside);
    }
    written?;
    sync_folder(path)
}

/// Makes a file in the same way, and returns false if there is one already. If several processes make it at once, one
/// of them succeeds.
pub(crate) fn create_atomically(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let beside = beside(path)?;
    let linked = write_synced(&beside, bytes).and_then(|()| fs::hard_link(&beside, path));
    let _best_effort = fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.and_then(|()| sync_folder(path)).map(|()| true),
    }
}

/// Removes a file if there is one. It stays removed after a power cut.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(path)),
    }
}

/// Returns a temporary path beside `path`. Processes and threads that write one file at once each have their own, and
/// the last rename wins.
fn beside(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().ok_or_else(|| io::Error::other("a path without a name"))?.to_owned();
    name.push(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(name))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a path without a folder"))?;
    File::open(folder)?.sync_all()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A crashed process with the same id may have left a file of another mode, so that file is not reused.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_mode_0600_and_no_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "an old and longer text").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_atomically(&folder.path().join("none/f"), b"").is_err());
    }

    #[test]
    fn a_file_is_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        assert!(create_atomically(&path, b"first").unwrap());
        assert!(!create_atomically(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn readers_see_one_whole_text_while_writers_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let texts: Vec<String> = ["a", "b", "c"].map(|letter| letter.repeat(5_000)).into();
        write_atomically(&path, texts[0].as_bytes()).unwrap();
        std::thread::scope(|scope| {
            let writers: Vec<_> = texts
                .iter()
                .map(|text| scope.spawn(|| (0..10).for_each(|_| write_atomically(&path, text.as_bytes()).unwrap())))
                .collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                let seen = fs::read_to_string(&path).unwrap();
                assert!(texts.contains(&seen), "{} bytes of {:?}", seen.len(), seen.chars().next());
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "every temporary file is gone");
    }

    #[test]
    fn of_several_that_make_a_file_at_once_one_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = folder.path().join(format!("{round}"));
            let made: Vec<(u8, bool)> = std::thread::scope(|scope| {
                let make = |number: u8| {
                    scope.spawn({
                        let path = &path;
                        move || (number, create_atomically(path, &[number]).unwrap())
                    })
                };
                let makers: Vec<_> = (0..4).map(make).collect();
                makers.into_iter().map(|maker| maker.join().unwrap()).collect()
            });
            let winners: Vec<u8> = made.iter().filter(|(_, first)| *first).map(|(number, _)| *number).collect();
            assert_eq!(fs::read(&path).unwrap(), winners, "the content is of the only one that made it");
        }
    }

    #[test]
    fn paths_without_a_name_or_a_folder_are_errors() {
        for path in ["/", "..", ""] {
            assert!(write_atomically(Path::new(path), b"x").is_err(), "{path:?}");
            assert!(create_atomically(Path::new(path), b"x").is_err(), "{path:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        remove_if_there(&folder.path().join("absent")).unwrap();
        assert!(remove_if_there(folder.path()).is_err(), "a folder is no file");
    }
}
