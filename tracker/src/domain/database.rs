//! The store as domain operations use it: reads wait for a permit, writes go through the group commit.

use std::sync::Arc;

use peernet_threads::Blocking;

use crate::commit::Writer;
use crate::domain::permits::Permits;
use crate::store::{Durability, Store, StoreError, Write, Written};

/// The store with the two queues in front of it. Methods that wait ask for [`Blocking`].
pub struct Database {
    store: Arc<dyn Store>,
    /// Bounds the number of requests that read at once.
    pub permits: Permits,
    /// Commits writes of many requests together.
    pub writer: Writer,
}

impl Database {
    /// Puts the queues in front of a store.
    pub fn new(store: Arc<dyn Store>, permits: Permits, writer: Writer) -> Self {
        Self { store, permits, writer }
    }

    /// The store without a permit, for threads that have a connection of their own. Its calls wait.
    pub fn store(&self, _: &Blocking) -> &dyn Store {
        self.store.as_ref()
    }

    /// Returns whether several trackers share the store.
    pub fn is_shared(&self) -> bool {
        self.store.replication().is_some()
    }

    /// Waits for a permit and reads. [`StoreError::Busy`] when none comes in time.
    pub fn read<T>(
        &self,
        blocking: &Blocking,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.permits.with(blocking, || work(self.store.as_ref()))
    }

    /// Waits until `writes` have committed in one transaction, synced to disk. Returns one outcome per write.
    pub fn write(&self, blocking: &Blocking, writes: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        self.writer.write(blocking, writes, Durability::Synced)
    }

    /// Waits until one write has committed, synced to disk.
    pub fn write_one(&self, blocking: &Blocking, write: Write) -> Result<Written, StoreError> {
        let written = self.write(blocking, vec![write])?.pop();
        written.ok_or_else(|| StoreError::Failed("the store gave no outcome for a write".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;
    use crate::store::sqlite::SqliteStore;

    /// A database whose commits have `outcomes`, and a folder that it lies in.
    fn database(outcomes: Vec<Written>) -> (Database, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("store")).expect("opens");
        let (writer, write_loop) = Writer::new(Box::new(move |_, _| Ok(outcomes.clone())));
        std::thread::spawn(move || write_loop.run());
        (Database::new(store, Permits::new(1), writer), folder)
    }

    fn leave() -> Write {
        Write::Leave { peer: PeerId([1; 16]), files: None }
    }

    #[test]
    fn one_write_has_the_outcome_of_its_commit() {
        let (database, _folder) = database(vec![Written::Done]);
        assert_eq!(database.write_one(&Blocking::declare(), leave()), Ok(Written::Done));
        database.writer.close();
        let refused = database.write_one(&Blocking::declare(), leave());
        assert_eq!(refused, Err(StoreError::Busy("the tracker is stopping")));
    }

    #[test]
    fn a_commit_without_an_outcome_is_an_error() {
        let (database, _folder) = database(Vec::new());
        assert!(matches!(database.write_one(&Blocking::declare(), leave()), Err(StoreError::Failed(_))));
        database.writer.close();
    }

    #[test]
    fn a_read_returns_its_permit_also_after_an_error() {
        let (database, _folder) = database(Vec::new());
        for _ in 0..3 {
            let failed = database.read(&Blocking::declare(), |_| Err::<(), _>(StoreError::Failed("a test".into())));
            assert_eq!(failed, Err(StoreError::Failed("a test".into())));
        }
        assert_eq!(database.read(&Blocking::declare(), |_| Ok(7)), Ok(7));
        assert!(!database.is_shared(), "SQLite belongs to one tracker");
        database.writer.close();
    }
}
