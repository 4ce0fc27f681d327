//! Lease updates: bodies of the tracker's own log, and of the other trackers. The target keeps the name that its statistics use.

use std::sync::Arc;

use peernet_tracker::replication::LeaseUpdate;

/// Decodes a body. Encoding and decoding the result again must change nothing.
pub fn news(data: &[u8]) {
    let Ok(read) = LeaseUpdate::decode(data) else { return };
    let mut body = Vec::new();
    read.iter().for_each(|update| update.encode(&mut body));
    assert!(read.is_empty() || LeaseUpdate::decode(&body) == Ok(read));
}

pub(super) fn examples() -> Vec<Vec<u8>> {
    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::{ChunkCount, ChunkHash, FileHash, ManifestId, PeerId};
    use peernet_engine::time::UnixMillis;
    use peernet_tracker::domain::swarm::{LeaseRow, Location, V1Chunk};
    use peernet_tracker::store::V1Listing;
    let peer = PeerId([1; 16]);
    let file_hash = FileHash([2; 32]);
    let expires_at = UnixMillis(3);
    let location = Arc::new(Location { tls: true, ..Location::plain("a:1") });
    let file_name = "f".to_owned();
    let have = Bitmap::empty(ChunkCount(9));
    let lease = LeaseRow {
        peer,
        file_hash,
        manifest_id: ManifestId([4; 32]),
        location,
        site: Some("s".to_owned()),
        have,
        expires_at,
    };
    let chunk_hash = ChunkHash([5; 32]);
    let chunk =
        V1Chunk { peer, file_hash, total_chunks: 2, index: 1, chunk_hash, file_name: file_name.clone(), expires_at };
    let listing =
        V1Listing { peer, file_hash, file_name, chunk_hashes: vec![chunk_hash; 2], expires_at, created_at: expires_at };
    let all = [
        LeaseUpdate::Lease(lease),
        LeaseUpdate::Left { peer, files: Some(vec![file_hash]), at: expires_at },
        LeaseUpdate::Staged(chunk),
        LeaseUpdate::Sealed(listing),
    ];
    let mut body = Vec::new();
    all.iter().for_each(|update| update.encode(&mut body));
    vec![body]
}
