//! For whom shared files are, as far as that is known here: what the tracker answered to announces, and what this node itself has said.
//!
//! What nobody has said anything about yet is not public: it is served to who shows a grant. What is not known to be public is kept beside the
//! shares, so that a restart without a tracker does not forget it: a hash on each line of a file, with a question mark before it where nobody
//! has said anything yet. Several processes may use that file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_engine::ids::FileHash;

use crate::error::NodeError;
use crate::home::write_atomically;
use crate::upload::Standing;

/// Records of shares end otherwise.
const FILE_NAME: &str = "restricted.list";
const LOCK_NAME: &str = "restricted.lock";
/// What stands before a hash that nobody has said anything about.
const UNHEARD: &str = "?";
/// A million hashes.
const FILE_BYTES_MAX: u64 = 66 << 20;

/// How long what this node has said counts more than what an announce is answered: the trackers of one database hear of it within 5 s.
const OWN_WORD: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Restricted {
    /// `None`: nothing is kept on disk.
    folder: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is not in it nobody has said anything about.
    known: Standings,
    /// When this node itself said so, for as long as that counts.
    said: BTreeMap<FileHash, Instant>,
}

type Standings = BTreeMap<FileHash, Standing>;

impl Restricted {
    /// As it is kept in a folder. What cannot be read is an error: it would be served to everyone.
    pub(super) fn load(folder: &Path) -> Result<Self, NodeError> {
        let state = State { known: read(folder)?, ..State::default() };
        Ok(Self { folder: Some(folder.to_owned()), state: Mutex::new(state) })
    }

    pub(super) fn standing(&self, file: FileHash) -> Standing {
        self.lock().standing(file)
    }

    /// These were shared before this start and nothing was said against it.
    pub(super) fn restored(&self, files: &[FileHash]) {
        let mut state = self.lock();
        for file in files {
            state.known.entry(*file).or_insert(Standing::Public);
        }
    }

    /// These begin to be shared for good: that nobody has said anything about some is still known after a restart.
    pub(super) fn begun(&self, files: &[FileHash]) -> Result<(), NodeError> {
        let state = self.lock();
        let unheard: Vec<_> = files.iter().filter(|file| state.standing(**file) == Standing::Unheard).collect();
        if unheard.is_empty() {
            return Ok(());
        }
        self.keep(|kept| {
            for file in unheard {
                kept.entry(*file).or_insert(Standing::Unheard);
            }
        })
    }

    /// This node has said so itself.
    pub(super) fn said(&self, files: &[FileHash], restricted: bool) -> Result<(), NodeError> {
        let now = Instant::now();
        let mut state = self.lock();
        state.said.retain(|_, said| now.saturating_duration_since(*said) < OWN_WORD);
        for file in files {
            state.said.insert(*file, now);
            state.known.insert(*file, standing_of(restricted));
        }
        self.keep(|kept| files.iter().for_each(|file| note(kept, *file, standing_of(restricted))))
    }

    /// An announce that was begun at `asked` was answered so. In memory at once, whatever the disk says, which is asked only where something
    /// is new. Whether something was left as this node has just said it: then it has to be asked again.
    pub(super) fn heard(
        &self,
        asked: Instant,
        files: &[FileHash],
        is_restricted: &dyn Fn(FileHash) -> bool,
    ) -> Result<bool, NodeError> {
        let mut state = self.lock();
        let is_own = |state: &State, file| state.said.get(&file).is_some_and(|said| asked < *said + OWN_WORD);
        let (mut news, mut own) = (Vec::new(), false);
        for file in files {
            let standing = standing_of(is_restricted(*file));
            if state.known.get(file) == Some(&standing) {
                continue;
            }
            if is_own(&state, *file) {
                own = true;
                continue;
            }
            state.known.insert(*file, standing);
            news.push((*file, standing));
        }
        if news.is_empty() {
            return Ok(own);
        }
        self.keep(|kept| news.iter().for_each(|(file, standing)| note(kept, *file, *standing))).map(|()| own)
    }

    /// They are not shared any more, and the tracker knows: what is shared anew is unheard of again.
    pub(super) fn ended(&self, files: &[FileHash]) {
        let mut state = self.lock();
        for file in files {
            if state.standing(*file) == Standing::Public {
                state.known.remove(file);
            }
        }
    }

    /// Writes what changes, into what other processes have written meanwhile.
    fn keep(&self, change: impl FnOnce(&mut Standings)) -> Result<(), NodeError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let _one_at_a_time = lock(folder)?;
        let before = read(folder)?;
        let mut kept = before.clone();
        change(&mut kept);
        if kept == before {
            return Ok(());
        }
        let mark = |standing: &Standing| if *standing == Standing::Unheard { UNHEARD } else { "" };
        let text: String = kept.iter().map(|(hash, standing)| format!("{}{hash}\n", mark(standing))).collect();
        let path = folder.join(FILE_NAME);
        write_atomically(&path, text.as_bytes()).map_err(NodeError::local("writing", &path))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn standing(&self, file: FileHash) -> Standing {
        self.known.get(&file).copied().unwrap_or(Standing::Unheard)
    }
}

fn standing_of(restricted: bool) -> Standing {
    if restricted { Standing::Restricted } else { Standing::Public }
}

/// What is public is not kept.
fn note(kept: &mut Standings, file: FileHash, standing: Standing) {
    if standing == Standing::Public {
        kept.remove(&file);
    } else {
        kept.insert(file, standing);
    }
}

/// Held for a moment only, so it is waited for.
fn lock(folder: &Path) -> Result<File, NodeError> {
    let path = folder.join(LOCK_NAME);
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let locked = open.and_then(|file| file.lock().map(|()| file));
    locked.map_err(NodeError::local("locking", &path))
}

/// What is kept, of which nothing is public.
fn read(folder: &Path) -> Result<Standings, NodeError> {
    let path = folder.join(FILE_NAME);
    let text = match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Standings::new()),
        Err(error) => return Err(NodeError::local("reading", &path)(error)),
        Ok(found) if found.len() > FILE_BYTES_MAX => return Err(damaged(&path)),
        Ok(_) => fs::read_to_string(&path).map_err(NodeError::local("reading", &path))?,
    };
    let entry = |line: &str| {
        let unheard = line.strip_prefix(UNHEARD).map(|hash| (hash, Standing::Unheard));
        let (hash, standing) = unheard.unwrap_or((line, Standing::Restricted));
        hash.parse().map(|hash| (hash, standing)).map_err(|_| damaged(&path))
    };
    text.lines().map(entry).collect()
}

fn damaged(file: &Path) -> NodeError {
    NodeError::Failed(format!(
        "{} is damaged: it says which shared files are not public. Remove it only if all of them are",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::Standing::{Public, Restricted as Closed, Unheard};
    use super::*;

    fn file(number: u8) -> FileHash {
        FileHash([number; 32])
    }

    #[track_caller]
    fn check(restricted: &Restricted, expected: [Standing; 3]) {
        assert_eq!([1, 2, 3].map(|number| restricted.standing(file(number))), expected);
    }

    #[test]
    fn what_is_said_of_some_files_leaves_the_others_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let restricted = Restricted::load(folder.path()).unwrap();
        check(&restricted, [Unheard; 3]);
        let heard = |files: &[FileHash], closed: u8| {
            assert!(!restricted.heard(Instant::now(), files, &|asked| asked == file(closed)).unwrap());
        };
        heard(&[file(1)], 1);
        heard(&[file(2), file(3)], 3);
        check(&restricted, [Closed, Public, Closed]);
        heard(&[file(3)], 1);
        check(&restricted, [Closed, Public, Public]);
        let again = Restricted::load(folder.path()).unwrap();
        again.restored(&[file(1), file(2)]);
        check(&again, [Closed, Public, Unheard]);
        again.ended(&[file(1), file(2)]);
        check(&again, [Closed, Unheard, Unheard]);
    }

    #[test]
    fn what_is_shared_anew_is_not_public_before_somebody_says_so_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let restricted = Restricted::load(folder.path()).unwrap();
        restricted.heard(Instant::now(), &[file(2)], &|_| false).unwrap();
        restricted.begun(&[file(1), file(2)]).unwrap();
        check(&restricted, [Unheard, Public, Unheard]);
        let again = Restricted::load(folder.path()).unwrap();
        again.restored(&[file(1), file(2)]);
        check(&again, [Unheard, Public, Unheard]);
        again.heard(Instant::now(), &[file(1)], &|_| false).unwrap();
        let third = Restricted::load(folder.path()).unwrap();
        third.restored(&[file(1)]);
        check(&third, [Public, Unheard, Unheard]);
    }

    #[test]
    fn an_answer_from_before_its_owner_spoke_or_from_a_tracker_that_has_not_heard_changes_nothing() {
        let restricted = Restricted::default();
        let before = Instant::now();
        restricted.said(&[file(1)], true).unwrap();
        assert!(restricted.heard(before, &[file(1), file(2)], &|_| false).unwrap());
        check(&restricted, [Closed, Public, Unheard]);
        assert!(restricted.heard(Instant::now(), &[file(1)], &|_| false).unwrap());
        // One that says the same is no contradiction, and one that was asked late enough counts.
        assert!(!restricted.heard(Instant::now(), &[file(1)], &|_| true).unwrap());
        assert!(!restricted.heard(Instant::now() + OWN_WORD, &[file(1)], &|_| false).unwrap());
        check(&restricted, [Public, Public, Unheard]);
    }

    #[test]
    fn what_another_process_has_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Restricted::load(folder.path()).unwrap(), Restricted::load(folder.path()).unwrap());
        one.said(&[file(1)], true).unwrap();
        two.said(&[file(2)], true).unwrap();
        one.said(&[file(3)], true).unwrap();
        two.said(&[file(2)], false).unwrap();
        check(&Restricted::load(folder.path()).unwrap(), [Closed, Unheard, Closed]);
    }

    #[test]
    fn a_damaged_list_is_no_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "half a ha").unwrap();
        assert!(Restricted::load(folder.path()).is_err());
    }
}
