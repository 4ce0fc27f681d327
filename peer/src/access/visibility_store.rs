//! The visibility of this node's shared files, from the tracker's replies to announces and from changes by this node.
//!
//! A file without either is [`KnownVisibility::Unknown`], and a grant is required for it. Files that are not
//! known to be public are kept on the disk beside the shares. So a restart without a tracker does not make them public.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_engine::access::KnownVisibility;
use peernet_engine::ids::FileHash;

use super::visibility_list::{Entries, VisibilityError, VisibilityList};

/// The time for which a visibility that this node set overrides a contradicting reply. The trackers of one database
/// learn of a change within 5 s of each other.
const LOCAL_OVERRIDE: Duration = Duration::from_secs(15);

/// The known visibility of files, in memory and in a list on the disk.
#[derive(Debug, Default)]
pub(crate) struct VisibilityStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A file that is not in it is unknown.
    known: Entries,
    /// When this node itself set a file's visibility. Older entries than [`LOCAL_OVERRIDE`] are dropped.
    set_at: BTreeMap<FileHash, Instant>,
    /// `None` if nothing is kept on the disk.
    list: Option<VisibilityList>,
}

impl VisibilityStore {
    /// Loads the list in a folder. An unreadable list is an error: without it, restricted files would become public.
    pub(crate) fn load(folder: &Path) -> Result<Self, VisibilityError> {
        let (list, known) = VisibilityList::open(folder)?;
        Ok(Self { state: Mutex::new(State { known, list: Some(list), ..State::default() }) })
    }

    /// Returns the known visibility of a file.
    pub(crate) fn visibility(&self, file: FileHash) -> KnownVisibility {
        self.lock().visibility(file)
    }

    /// Takes files that were shared before this start as public, unless the list says otherwise: public files are not
    /// in the list.
    pub(crate) fn restore(&self, shared: &[FileHash]) {
        let mut state = self.lock();
        for file in shared {
            state.known.entry(*file).or_insert(KnownVisibility::Public);
        }
    }

    /// Records that these files begin to be shared. Those that nothing is known of stay unknown after a restart too.
    pub(crate) fn begin(&self, files: &[FileHash]) -> Result<(), VisibilityError> {
        let mut state = self.lock();
        let unknown = files.iter().filter(|file| !state.known.contains_key(*file));
        let unknown: Vec<_> = unknown.map(|file| (*file, KnownVisibility::Unknown)).collect();
        state.store(&unknown)?;
        state.known.extend(unknown);
        Ok(())
    }

    /// Sets the visibility of files, because this node's user declared it or the tracker withdrew them. It counts at
    /// once, also if the disk fails.
    pub(crate) fn set_local(&self, files: &[FileHash], restricted: bool) -> Result<(), VisibilityError> {
        let now = Instant::now();
        let visibility = KnownVisibility::restricted_if(restricted);
        let mut state = self.lock();
        state.set_at.retain(|_, set_at| now.saturating_duration_since(*set_at) < LOCAL_OVERRIDE);
        for file in files {
            state.set_at.insert(*file, now);
            state.known.insert(*file, visibility);
        }
        state.store(&files.iter().map(|file| (*file, visibility)).collect::<Vec<_>>())
    }

    /// Applies the tracker's reply to an announce of `files` that began at `asked_at`. It counts at once, also if the
    /// disk fails. The disk is written only if something changes.
    ///
    /// Returns whether the reply contradicted a visibility that this node set a moment ago. That stays, and the
    /// announce has to be repeated.
    pub(crate) fn apply_tracker_reply(
        &self,
        asked_at: Instant,
        files: &[FileHash],
        is_restricted: &dyn Fn(FileHash) -> bool,
    ) -> Result<bool, VisibilityError> {
        let mut state = self.lock();
        let mut changes = Vec::new();
        let mut is_contradicted = false;
        for file in files {
            let visibility = KnownVisibility::restricted_if(is_restricted(*file));
            if state.known.get(file) == Some(&visibility) {
                continue;
            }
            if state.set_at.get(file).is_some_and(|set_at| asked_at < *set_at + LOCAL_OVERRIDE) {
                is_contradicted = true;
                continue;
            }
            state.known.insert(*file, visibility);
            changes.push((*file, visibility));
        }
        state.store(&changes)?;
        Ok(is_contradicted)
    }

    /// Forgets public files that are no longer announced. If one is shared again, it is unknown until the next reply.
    pub(crate) fn forget_public(&self, files: &[FileHash]) {
        let mut state = self.lock();
        for file in files {
            if state.visibility(*file) == KnownVisibility::Public {
                state.known.remove(file);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn visibility(&self, file: FileHash) -> KnownVisibility {
        self.known.get(&file).copied().unwrap_or(KnownVisibility::Unknown)
    }

    fn store(&mut self, changes: &[(FileHash, KnownVisibility)]) -> Result<(), VisibilityError> {
        match &mut self.list {
            Some(list) if !changes.is_empty() => list.append(changes),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KnownVisibility::{Public, Restricted, Unknown};
    use super::*;

    fn file(number: u8) -> FileHash {
        FileHash([number; 32])
    }

    /// Compares the known visibility of the files 1 to 3.
    #[track_caller]
    fn check(store: &VisibilityStore, expected: [KnownVisibility; 3]) {
        assert_eq!([1, 2, 3].map(|number| store.visibility(file(number))), expected);
    }

    /// Applies a reply of now that says which files are restricted. Returns whether it was contradicted.
    fn reply(store: &VisibilityStore, files: &[FileHash], restricted: &[FileHash]) -> bool {
        store.apply_tracker_reply(Instant::now(), files, &|file| restricted.contains(&file)).unwrap()
    }

    #[test]
    fn a_reply_changes_only_the_files_it_names_and_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let store = VisibilityStore::load(folder.path()).unwrap();
        check(&store, [Unknown; 3]);
        assert!(!reply(&store, &[file(1)], &[file(1)]));
        assert!(!reply(&store, &[file(2), file(3)], &[file(3)]));
        check(&store, [Restricted, Public, Restricted]);
        assert!(!reply(&store, &[file(3)], &[]));
        check(&store, [Restricted, Public, Public]);
        let again = VisibilityStore::load(folder.path()).unwrap();
        again.restore(&[file(1), file(2)]);
        check(&again, [Restricted, Public, Unknown]);
        again.forget_public(&[file(1), file(2)]);
        check(&again, [Restricted, Unknown, Unknown]);
    }

    #[test]
    fn a_new_share_is_not_public_before_a_reply_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = VisibilityStore::load(folder.path()).unwrap();
        reply(&store, &[file(2)], &[]);
        store.begin(&[file(1), file(2)]).unwrap();
        check(&store, [Unknown, Public, Unknown]);
        let again = VisibilityStore::load(folder.path()).unwrap();
        again.restore(&[file(1), file(2)]);
        check(&again, [Unknown, Public, Unknown]);
        reply(&again, &[file(1)], &[]);
        let third = VisibilityStore::load(folder.path()).unwrap();
        third.restore(&[file(1)]);
        check(&third, [Public, Unknown, Unknown]);
    }

    #[test]
    fn a_reply_that_contradicts_a_fresh_local_setting_is_ignored() {
        let store = VisibilityStore::default();
        let before = Instant::now();
        store.set_local(&[file(1)], true).unwrap();
        assert!(store.apply_tracker_reply(before, &[file(1), file(2)], &|_| false).unwrap());
        check(&store, [Restricted, Public, Unknown]);
        assert!(reply(&store, &[file(1)], &[]));
        assert!(!reply(&store, &[file(1)], &[file(1)]), "the same is no contradiction");
        assert!(!store.apply_tracker_reply(Instant::now() + LOCAL_OVERRIDE, &[file(1)], &|_| false).unwrap());
        check(&store, [Public, Public, Unknown]);
    }

    #[test]
    fn a_local_setting_is_kept_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = VisibilityStore::load(folder.path()).unwrap();
        store.set_local(&[file(1), file(2)], true).unwrap();
        store.set_local(&[file(2)], false).unwrap();
        check(&store, [Restricted, Public, Unknown]);
        let again = VisibilityStore::load(folder.path()).unwrap();
        check(&again, [Restricted, Unknown, Unknown]);
    }

    #[test]
    fn lines_of_another_process_stay() {
        let folder = tempfile::tempdir().unwrap();
        let one = VisibilityStore::load(folder.path()).unwrap();
        let two = VisibilityStore::load(folder.path()).unwrap();
        one.set_local(&[file(1)], true).unwrap();
        two.set_local(&[file(2)], true).unwrap();
        one.set_local(&[file(3)], true).unwrap();
        two.set_local(&[file(2)], false).unwrap();
        check(&VisibilityStore::load(folder.path()).unwrap(), [Restricted, Unknown, Restricted]);
    }

    #[test]
    fn a_disk_that_fails_hides_no_restriction() {
        let folder = tempfile::tempdir().unwrap();
        let store = VisibilityStore::load(folder.path()).unwrap();
        // The folder is gone: nothing can be written.
        folder.close().unwrap();
        assert!(store.set_local(&[file(1)], true).is_err());
        assert!(store.apply_tracker_reply(Instant::now(), &[file(2)], &|_| true).is_err());
        check(&store, [Restricted, Restricted, Unknown]);
        assert!(store.begin(&[file(3)]).is_err());
        check(&store, [Restricted, Restricted, Unknown]);
    }

    #[test]
    fn only_public_files_are_forgotten() {
        let store = VisibilityStore::default();
        reply(&store, &[file(1), file(2)], &[file(1)]);
        store.begin(&[file(3)]).unwrap();
        store.forget_public(&[file(1), file(2), file(3)]);
        check(&store, [Restricted, Unknown, Unknown]);
        store.restore(&[file(1), file(2)]);
        check(&store, [Restricted, Public, Unknown]);
    }

    #[test]
    fn restrictions_survive_replies_of_many_threads() {
        let folder = tempfile::tempdir().unwrap();
        let store = VisibilityStore::load(folder.path()).unwrap();
        store.set_local(&[file(1)], true).unwrap();
        std::thread::scope(|scope| {
            for number in 2..6 {
                let store = &store;
                // Each reply calls file 1 public, and its own file restricted.
                scope.spawn(move || assert!(reply(store, &[file(1), file(number)], &[file(number)])));
            }
        });
        for known in [store, VisibilityStore::load(folder.path()).unwrap()] {
            assert!((1..6).all(|number| known.visibility(file(number)) == Restricted));
        }
    }
}
