//! The super-seeding state of one complete file, behind a lock. `peernet_engine::serving` decides which caller gets what.

use std::sync::{Arc, Mutex, PoisonError};

use peernet_engine::ids::ChunkCount;
use peernet_engine::serving::super_seed::{SharedSuperSeed, SuperSeed};

/// The callers of one file. All clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Callers(Arc<Mutex<SuperSeed>>);

impl Callers {
    /// No callers yet, of a file with `count` chunks.
    pub(crate) fn new(count: ChunkCount) -> Self {
        Self(Arc::new(Mutex::new(SuperSeed::new(count))))
    }
}

impl SharedSuperSeed for Callers {
    fn with<T>(&self, act: impl FnOnce(&mut SuperSeed) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
