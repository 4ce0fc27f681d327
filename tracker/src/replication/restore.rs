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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::{ChunkCount, ChunkHash, FileHash, ManifestId, PeerId};

    use super::*;
    use crate::domain::swarm::{LeaseRow, Limits, Location};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Account, Durability, V1Listing, Write};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);
    const PEER: PeerId = PeerId([1; 16]);

    fn append(file: &LogFile, update: &LeaseUpdate) {
        let mut body = Vec::new();
        update.encode(&mut body);
        file.append(update.expires_at(), &body).expect("appends");
    }

    fn lease(file: u8) -> LeaseUpdate {
        LeaseUpdate::Lease(LeaseRow {
            peer: PEER,
            file_hash: FileHash([file; 32]),
            manifest_id: ManifestId([file; 32]),
            location: Arc::new(Location::plain("a:1")),
            site: None,
            have: Bitmap::full(ChunkCount(1)),
            expires_at: NOW.plus(HOUR),
        })
    }

    #[test]
    fn a_restart_restores_listings_and_logged_leases() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("store")).expect("opens");
        store.migrate(NOW).expect("makes its tables");
        let account = Account {
            id: PEER,
            address: Some("a:1".to_owned()),
            password_hash: "a hash".to_owned(),
            generation: 0,
            created_at: NOW,
        };
        let listing = V1Listing {
            peer: PEER,
            file_hash: FileHash([3; 32]),
            file_name: "f".to_owned(),
            chunk_hashes: vec![ChunkHash([9; 32])],
            expires_at: NOW.plus(HOUR),
            created_at: NOW,
        };
        let writes = [Write::create_account(account), Write::SealV1(listing)];
        store.write(NOW, &writes, Durability::Synced).expect("commits");
        let file = LogFile::open(&folder.path().join("log")).expect("opens");
        append(&file, &lease(1));
        append(&file, &lease(2));
        append(&file, &LeaseUpdate::Left { peer: PEER, files: Some(vec![FileHash([2; 32])]), at: NOW.plus(HOUR) });

        let swarm = Swarm::new(Limits::default());
        restore(&swarm, store.as_ref(), &file, NOW).expect("restores");
        let mut files = swarm.file_hashes_of(PEER);
        files.sort_unstable();
        assert_eq!(files, [FileHash([1; 32]), FileHash([3; 32])], "the second one has ended");

        let later = Swarm::new(Limits::default());
        restore(&later, store.as_ref(), &file, NOW.plus(HOUR * 2)).expect("restores");
        assert_eq!(later.files_of(PEER), 0, "everything has expired");
    }
}
