//! News of the swarm: bodies of the tracker's own log, and of the other trackers.

use peernet_tracker::domain::swarm::News;

/// Reads a body: its contents, written again, are read as the same.
pub fn news(data: &[u8]) {
    let Ok(read) = News::decode(data) else { return };
    let mut body = Vec::new();
    read.iter().for_each(|news| news.encode(&mut body));
    assert!(read.is_empty() || News::decode(&body) == Ok(read));
}

pub(super) fn examples() -> Vec<Vec<u8>> {
    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::{ChunkCount, ChunkHash, FileHash, ManifestId, PeerId};
    use peernet_engine::time::UnixMillis;
    use peernet_tracker::domain::swarm::Reach;
    use peernet_tracker::store::{LeaseRow, V1Chunk, V1Listing};
    let (peer, file_hash, expires_at) = (PeerId([1; 16]), FileHash([2; 32]), UnixMillis(3));
    let (reach, file_name) = (Reach { tls: true, ..Reach::plain("a:1") }, "f".to_owned());
    let have = Bitmap::empty(ChunkCount(9));
    let lease = LeaseRow {
        peer,
        file_hash,
        manifest_id: ManifestId([4; 32]),
        reach,
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
        News::Lease(lease),
        News::Left { peer, files: Some(vec![file_hash]), at: expires_at },
        News::Staged(chunk),
        News::Sealed(listing),
    ];
    let mut body = Vec::new();
    all.iter().for_each(|news| news.encode(&mut body));
    vec![body]
}
