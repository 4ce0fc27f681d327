//! For whom shared files are, as far as that is known here: what the tracker answered to announces, and what this node itself has said.
//!
//! What nobody has said anything about yet is not public: it is served to who shows a grant. What is not known to be public is kept beside the
//! shares, so that a restart without a tracker does not forget it.

mod list;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_engine::ids::FileHash;

use crate::error::NodeError;
use crate::upload::Standing;
use list::{List, Standings};

/// How long what this node has said counts more than what an announce is answered: the trackers of one database hear of it within 5 s.
const OWN_WORD: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Restricted {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is not in it nobody has said anything about.
    known: Standings,
    /// When this node itself said so, for as long as that counts.
    said: BTreeMap<FileHash, Instant>,
    /// `None`: nothing is kept on disk.
    list: Option<List>,
}

impl Restricted {
    /// As it is kept in a folder. What cannot be read is an error: it would be served to everyone.
    pub(super) fn load(folder: &Path) -> Result<Self, NodeError> {
        let (list, known) = List::open(folder)?;
        Ok(Self { state: Mutex::new(State { known, list: Some(list), ..State::default() }) })
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
        let mut state = self.lock();
        let unheard = files.iter().filter(|file| !state.known.contains_key(*file));
        let unheard: Vec<_> = unheard.map(|file| (*file, Standing::Unheard)).collect();
        state.keep(&unheard)?;
        state.known.extend(unheard);
        Ok(())
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
        state.keep(&files.iter().map(|file| (*file, standing_of(restricted))).collect::<Vec<_>>())
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
        state.keep(&news).map(|()| own)
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn standing(&self, file: FileHash) -> Standing {
        self.known.get(&file).copied().unwrap_or(Standing::Unheard)
    }

    fn keep(&mut self, news: &[(FileHash, Standing)]) -> Result<(), NodeError> {
        match &mut self.list {
            Some(list) if !news.is_empty() => list.append(news),
            _ => Ok(()),
        }
    }
}

fn standing_of(restricted: bool) -> Standing {
    if restricted { Standing::Restricted } else { Standing::Public }
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
}
