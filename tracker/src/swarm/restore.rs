//! After a restart: what the store kept of the swarm goes back into the index before the door opens.

use std::collections::HashMap;
use std::sync::Arc;

use peernet_engine::ids::PeerId;
use peernet_engine::lease::{AnnounceForm, lease_until};
use peernet_engine::time::UnixMillis;

use super::announce::Lease;
use super::entry::{Held, V1Address};
use super::{Full, Swarm};
use crate::log;
use crate::store::{LeaseRow, Store, StoreError, Survivor, V1Chunk, V1Listing};

/// Fills the index. What no longer fits its bounds is left out and logged.
pub fn restore(swarm: &Swarm, store: &dyn Store, now: UnixMillis) -> Result<(), StoreError> {
    let mut survivors = Survivors::default();
    store.survivors(now, &mut |survivor| survivors.sort_in(survivor))?;
    let mut addresses = Addresses { store, known: HashMap::new() };
    let (mut restored, mut refused) = (0u64, 0u64);
    let mut count = |outcome: Result<(), Full>| match outcome {
        Ok(()) => restored += 1,
        Err(_) => refused += 1,
    };
    for lease in survivors.leases {
        count(swarm.restore_lease(lease));
    }
    for listing in survivors.listings {
        if let Some(address) = addresses.of(listing.peer)? {
            count(swarm.v1_sealed(now, listing, &address));
        }
    }
    for chunk in survivors.staged {
        if let Some(address) = addresses.of(chunk.peer)? {
            count(swarm.restore_staged(now, &chunk, &address));
        }
    }
    log::info("swarm", "restored", &[("records", &restored), ("refused", &refused)]);
    Ok(())
}

#[derive(Default)]
struct Survivors {
    leases: Vec<LeaseRow>,
    listings: Vec<V1Listing>,
    staged: Vec<V1Chunk>,
}

impl Survivors {
    fn sort_in(&mut self, survivor: Survivor) {
        match survivor {
            Survivor::Lease(lease) => self.leases.push(lease),
            Survivor::Listing(listing) => self.listings.push(listing),
            Survivor::Staged(chunk) => self.staged.push(chunk),
        }
    }
}

/// Accounts' registered addresses, each read once.
struct Addresses<'a> {
    store: &'a dyn Store,
    known: HashMap<PeerId, Option<Arc<V1Address>>>,
}

impl Addresses<'_> {
    fn of(&mut self, peer: PeerId) -> Result<Option<Arc<V1Address>>, StoreError> {
        if let Some(known) = self.known.get(&peer) {
            return Ok(known.clone());
        }
        let address = self.store.account(peer)?.and_then(|account| account.address).map(V1Address::new).map(Arc::new);
        self.known.insert(peer, address.clone());
        Ok(address)
    }
}

impl Swarm {
    fn restore_lease(&self, row: LeaseRow) -> Result<(), Full> {
        let lease = Lease {
            peer: row.peer,
            file_hash: row.file_hash,
            manifest_id: row.manifest_id,
            meta: None,
            file_name: String::new(),
            address: row.address.into(),
            site: row.site.map(Into::into),
            held: Held::of(row.have),
            // Until its next announce says better.
            trusted: false,
        };
        self.hold(lease, row.expires_at, Some(row.expires_at))
    }

    /// A staged chunk; the one that makes the file whole lists it, because every chunk of it is durable.
    fn restore_staged(&self, now: UnixMillis, chunk: &V1Chunk, address: &Arc<V1Address>) -> Result<(), Full> {
        match self.v1_staged(now, chunk, address)? {
            Some(mut listing) => {
                listing.expires_at = chunk.expires_at.min(lease_until(now, AnnounceForm::PerChunk));
                self.v1_sealed(now, *listing, address)
            }
            None => Ok(()),
        }
    }
}
