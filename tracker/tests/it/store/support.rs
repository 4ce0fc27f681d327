//! The stores under test, and rows for them.

use std::sync::Arc;

use peernet_engine::ids::{ByteCount, ChunkHash, DeviceId, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::{Geometry, Manifest};
use peernet_engine::time::UnixMillis;
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::base::scopes::Scopes;
use peernet_tracker::store::devices::NewDevice;
use peernet_tracker::store::postgres::{PoolLimits, PostgresStore};
use peernet_tracker::store::signatures::StoredSignature;
use peernet_tracker::store::sqlite::SqliteStore;
use peernet_tracker::store::{Account, Durability, Store, StoredManifest, V1Listing, Write, Written};

pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(super) const HOUR_MS: i64 = 3_600_000;

/// Runs `check` with each store, migrated and empty; with PostgreSQL also over TLS. The name is for messages.
pub(super) fn on_both(check: impl Fn(&str, Arc<dyn Store>)) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(&folder.path().join("tracker.db")).unwrap();
    sqlite.migrate(NOW).unwrap();
    check("sqlite", sqlite);
    check("postgres", postgres(&fresh_database()));
    check("postgres over TLS", postgres(&super::tls::fresh_database()));
}

/// Returns a migrated store on a database.
pub(super) fn postgres(url: &str) -> Arc<PostgresStore> {
    let store = PostgresStore::open(url, PoolLimits { connections: 4 }).unwrap();
    store.migrate(NOW).unwrap();
    store
}

pub(super) fn later(ms: i64) -> UnixMillis {
    UnixMillis(NOW.0 + ms)
}

pub(super) fn peer(n: u8) -> PeerId {
    PeerId([n; 16])
}

pub(super) fn file(n: u8) -> FileHash {
    FileHash([n; 32])
}

pub(super) fn account(n: u8, address: Option<&str>) -> Account {
    Account {
        id: peer(n),
        address: address.map(str::to_owned),
        password_hash: format!("$2b$10$hash-of-{n}"),
        generation: 0,
        created_at: NOW,
    }
}

/// Device number `n` of an account, with the refresh token [n, 0].
pub(super) fn device(n: u8, of: u8) -> NewDevice {
    NewDevice {
        id: DeviceId([n; 16]),
        account: peer(of),
        label: format!("device {n}"),
        scopes: Scopes::ALL,
        family_hash: [n; 32],
        refresh_hash: token(n, 0),
        expires_at: later(HOUR_MS),
    }
}

/// The hash of the refresh token `at` of device `n`.
pub(super) fn token(n: u8, at: u8) -> [u8; 32] {
    let mut hash = [at; 32];
    hash[0] = n;
    hash
}

pub(super) fn manifest(file_number: u8, chunks: u8, name: &str, created_at: UnixMillis) -> StoredManifest {
    let geometry = Geometry::new(ByteCount(u64::from(chunks) << 20), 1 << 20).unwrap();
    let hashes = (0..chunks).map(|at| ChunkHash([at ^ file_number; 32])).collect();
    let manifest = Manifest::new(file(file_number), geometry, hashes).unwrap();
    StoredManifest { manifest, file_name: name.to_owned(), announced_by: peer(1), created_at }
}

/// A signature of an account. No store checks whether it verifies.
pub(super) fn signature(manifest_id: ManifestId, of: u8, content: u8, signed_at: UnixMillis) -> StoredSignature {
    StoredSignature { manifest_id, peer: peer(of), public_key: [content; 32], signature: [content; 64], signed_at }
}

pub(super) fn listing(peer_number: u8, of: u8, expires_at: UnixMillis) -> V1Listing {
    V1Listing {
        peer: peer(peer_number),
        file_hash: file(of),
        file_name: "old.bin".to_owned(),
        chunk_hashes: (0..16).map(|at| ChunkHash([at; 32])).collect(),
        expires_at,
        created_at: NOW,
    }
}

/// Writes one batch that must succeed.
pub(super) fn write(store: &dyn Store, batch: &[Write]) -> Vec<Written> {
    store.write(NOW, batch, Durability::Relaxed).unwrap()
}

pub(super) fn listings(store: &dyn Store, now: UnixMillis) -> Vec<V1Listing> {
    let mut out = Vec::new();
    store.listings(now, &mut |listing| out.push(listing)).unwrap();
    out.sort_by_key(|listing| (listing.peer, listing.file_hash));
    out
}
