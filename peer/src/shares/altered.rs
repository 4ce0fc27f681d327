//! Ends the share of a file whose bytes changed although size and time did not. The server reports such a file after it
//! has read a chunk again.

use std::sync::Arc;

use peernet_engine::ids::ChunkIndex;

use super::record::Record;
use super::{Key, Shares};
use crate::files::FileState;
use crate::files::SharedFile;

impl Shares {
    /// Ends every share that serves this `shared_file`, whose `chunk` no longer has its hash.
    pub(super) fn withdraw_altered(&self, shared_file: &SharedFile, chunk: ChunkIndex) {
        let owners = self.lock().owners(shared_file.manifest().file_hash(), Some(shared_file.manifest().id()));
        for key in owners {
            // The same bytes may be shared from another path too, where they are right.
            let Some((record, offered)) = self.offering(key, shared_file) else { continue };
            match record.filter(|_| !shared_file.is_in_progress()) {
                Some(record) => self.withdraw_as(&record, FileState::Altered(shared_file.file_of(chunk))),
                None => {
                    let path = shared_file.path();
                    self.log.warn(&format!(
                        "{} was changed by another program while it is downloaded, so it is no longer served",
                        path.display()
                    ));
                    self.end(&offered);
                }
            }
        }
    }

    fn offering(&self, key: Key, shared_file: &SharedFile) -> Option<(Option<Record>, Arc<SharedFile>)> {
        let known = self.lock();
        let entry = known.get(key)?;
        let offered = entry.shared_files().find(|offered| std::ptr::eq(Arc::as_ptr(offered), shared_file))?;
        Some((entry.record.clone(), Arc::clone(offered)))
    }
}
