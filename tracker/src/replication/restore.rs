//! Filling the swarm index at start, from the tracker's own log and the store.

use peernet_engine::time::UnixMillis;

use super::apply::Applier;
use super::lease_update::LeaseUpdate;
use super::log_file::LogFile;
use crate::domain::swarm::Swarm;
use crate::ops::log;
use crate::store::{Store, StoreError};

/// Fills the index. Updates that its bounds refuse are dropped: their peers announce again.
pub fn restore(swarm: &Swarm, store: &dyn Store, file: &LogFile, now: UnixMillis) -> Result<(), StoreError> {
    let mut applier = Applier::new(swarm, store);
    let mut listings = Vec::new();
    store.listings(now, &mut |listing| listings.push(listing))?;
    for listing in listings {
        applier.apply(now, LeaseUpdate::Sealed(listing))?;
    }
    let mut bodies = Vec::new();
    file.replay(now, &mut |body| bodies.push(body))?;
    for body in bodies {
        applier.apply_all(now, &body)?;
    }
    let (records, bytes) = swarm.usage();
    log::info("swarm", "restored", &[("records", &records), ("bytes", &bytes)]);
    Ok(())
}
