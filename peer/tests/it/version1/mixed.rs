//! Transfers between peers of version 1 and of this version, in every direction.

use std::collections::BTreeMap;
use std::fs;

use peernet_testkit::fixture::bytes;
use peernet_testkit::v1::CHUNK_SIZE;
use peernet_testkit::v1::peer::{self, download_chunk, environment};

use super::world::{World, download, old_balance, peer_of};

/// Sizes whose last chunk is short, whole and short again.
const SIZES: [usize; 3] = [1, CHUNK_SIZE, 3 * CHUNK_SIZE + 7];

#[test]
fn an_old_downloader_gets_the_file_of_an_old_source() {
    let world = World::start();
    for size in SIZES {
        let content = bytes(size, 11);
        let sharer = world.old_sharer("old.bin", &content);
        let done = peer::download(&world.old_client(), &sharer.file_hash, &world.folder("down")).unwrap();
        assert_eq!(fs::read(&done.path).unwrap(), content, "{size}");
        assert_eq!(done.feedback, BTreeMap::from([(202, size.div_ceil(CHUNK_SIZE))]), "{size}");
    }
}

#[test]
fn a_new_downloader_learns_the_length_from_the_last_chunk() {
    let world = World::start();
    let node = world.node("downloader");
    for size in SIZES {
        let content = bytes(size, 12);
        let sharer = world.old_sharer(&format!("old-{size}.bin"), &content);
        let before = old_balance(&sharer.tracker);
        let done = download(&node, &sharer.file_hash, &world.folder("down")).unwrap();
        assert_eq!(done.path.file_name().unwrap().to_string_lossy(), format!("old-{size}.bin"));
        assert_eq!((done.size, fs::read(&done.path).unwrap()), (size as u64, content));
        assert_eq!(done.sources, [(sharer.peer_id.parse().unwrap(), size as u64)]);
        // A chunk of one byte costs a milli-token, and that is the treasury's fee.
        assert!(size == 1 || old_balance(&sharer.tracker) > before, "an old sharer of {size} bytes is paid");
    }
}

#[test]
fn an_old_downloaders_feedback_about_a_new_source_counts() {
    let world = World::start();
    // One for all: an hour's grants are enough for five accounts.
    let client = world.old_client();
    for size in SIZES {
        let content = bytes(size, 13);
        let (node, shared) = world.sharing(&format!("new-{size}.bin"), &content);
        let before = node.me().unwrap();
        let file_hash = shared.file_hash.to_string();
        let done = peer::download(&client, &file_hash, &world.folder("down")).unwrap();
        assert_eq!(done.path, world.folder("down").join(format!("{file_hash}.download")));
        assert_eq!(fs::read(&done.path).unwrap(), content, "{size}");
        assert_eq!((done.failed_attempts, done.feedback), (0, BTreeMap::from([(202, size.div_ceil(CHUNK_SIZE))])));
        let after = node.me().unwrap();
        assert!(after.reputation_score > before.reputation_score, "{before:?} {after:?}");
        assert!(size == 1 || after.balance_mt > before.balance_mt, "{size}: {before:?} {after:?}");
    }
}

#[test]
fn old_and_new_peers_serve_each_other() {
    let world = World::start();
    let content = bytes(6 * CHUNK_SIZE + 5, 14);
    let (new, shared) = world.sharing("both.bin", &content);
    let old = world.old_sharer("both.bin", &content);
    let file_hash = shared.file_hash.to_string();
    let listed = world.old_client().lookup(&file_hash).unwrap();
    let holders = |index| {
        let mut ids: Vec<_> = listed[&index].peers.iter().map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    };
    let mut both = [peer_of(&new).to_string(), old.peer_id.clone()];
    both.sort_unstable();
    assert!((0..7).all(|index| holders(index) == both), "{listed:?}");
    let by_old = peer::download(&world.old_client(), &file_hash, &world.folder("by-old")).unwrap();
    let by_new = download(&world.node("downloader"), &shared.link, &world.folder("by-new")).unwrap();
    assert_eq!(fs::read(by_old.path).unwrap(), content);
    assert_eq!(fs::read(by_new.path).unwrap(), content);
}

#[test]
fn a_file_that_a_new_source_lacks_is_an_error_with_text() {
    let world = World::start();
    let (node, shared) = world.sharing("some.bin", &bytes(CHUNK_SIZE + 1, 15));
    let env = environment();
    let address = node.plaintext_address().unwrap().to_string();
    let ask = |hash: &str, index| download_chunk(&env, &address, hash, index).map(|chunk| chunk.len());
    let file_hash = shared.file_hash.to_string();
    assert_eq!(ask(&file_hash, 0).unwrap(), CHUNK_SIZE);
    assert_eq!(ask(&file_hash, 1).unwrap(), 1);
    for (hash, index) in
        [(&*file_hash, 2), (&file_hash, -1), (&file_hash, i32::MAX), (&"ab".repeat(32), 0), ("", 0), ("../x", 0)]
    {
        match ask(hash, index) {
            Err(grpcio::Error::RpcFailure(status)) => {
                assert!(!status.message().is_empty(), "{hash} {index}: {status:?}")
            }
            other => panic!("{hash} {index}: {other:?}"),
        }
    }
}

#[test]
fn a_tracker_url_may_end_with_a_slash() {
    let world = World::start();
    let url = world.url() + "/";
    let content = bytes(CHUNK_SIZE + 9, 16);
    let sharer = peer::V1Sharer::share(&url, "slash.bin", content.clone(), |_, data| data);
    let by_old = peer::download(&world.old_client_at(&url), &sharer.file_hash, &world.folder("by-old")).unwrap();
    let by_new =
        download(&world.node_at(&url, "downloader", None), &sharer.file_hash, &world.folder("by-new")).unwrap();
    assert_eq!(fs::read(by_old.path).unwrap(), content);
    assert_eq!(fs::read(by_new.path).unwrap(), content);
}
