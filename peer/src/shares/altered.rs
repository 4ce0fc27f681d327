//! Ending the share of a file whose bytes changed though it looks the same, on the word of whoever read it again.

use std::sync::Arc;

use peernet_engine::ids::ChunkIndex;

use super::record::Record;
use super::{Key, Shares};
use crate::files::Look;
use crate::upload::Held;

impl Shares {
    /// Ends everything that offers this very `held`, whose `chunk` is not what was hashed.
    pub(super) fn withdraw_altered(&self, held: &Held, chunk: ChunkIndex) {
        let owners = self.lock().owners(held.manifest().file_hash(), Some(held.manifest().id()));
        for key in owners {
            // The same bytes may be shared from somewhere else too, and be right there.
            let Some((record, offered)) = self.offering(key, held) else { continue };
            match record.filter(|_| !held.is_in_progress()) {
                Some(record) => self.withdraw_as(&record, Look::Altered(held.file_of(chunk))),
                None => {
                    let path = held.path();
                    self.log.warn(&format!("{} has changed while it is downloaded and is not offered", path.display()));
                    self.end(&offered);
                }
            }
        }
    }

    fn offering(&self, key: Key, held: &Held) -> Option<(Option<Record>, Arc<Held>)> {
        let known = self.lock();
        let entry = known.get(key)?;
        let offered = entry.helds().find(|offered| std::ptr::eq(Arc::as_ptr(offered), held))?;
        Some((entry.record.clone(), Arc::clone(offered)))
    }
}
