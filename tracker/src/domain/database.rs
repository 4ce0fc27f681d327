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
