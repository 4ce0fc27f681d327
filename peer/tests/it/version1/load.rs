//! Many connections of version 1 downloaders at once.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use peernet_testkit::fixture::bytes;
use peernet_testkit::process::raise_open_files;
use peernet_testkit::v1::CHUNK_SIZE;
use peernet_testkit::v1::peer::{self, V1Download, download_chunk, environment};

use super::world::World;

/// Version 1 downloads of one file at the same time.
const DOWNLOADS: usize = 4;
/// Chunks of that file, each requested over a connection of its own.
const CHUNKS: usize = 64;
/// The connections that a version 1 download of 1 GiB opens at once.
const CONNECTIONS: usize = 1_024;
/// The last chunk of the file they ask for, short so that a thousand replies fit this process.
const SHORT: usize = 64 << 10;

#[test]
fn a_new_source_serves_256_old_connections_at_once() {
    let world = World::start();
    let (_node, shared) = world.sharing("large.bin", &bytes(CHUNKS * CHUNK_SIZE, 31));
    let file_hash = shared.file_hash.to_string();
    let done: Vec<V1Download> = thread::scope(|scope| {
        let one = |number| {
            let world = &world;
            let file_hash = &file_hash;
            let client = world.old_client();
            let folder = world.folder(&format!("down-{number}"));
            scope.spawn(move || peer::download(&client, file_hash, &folder).unwrap())
        };
        let all: Vec<_> = (0..DOWNLOADS).map(one).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for download in done {
        assert_eq!((download.failed_attempts, download.feedback), (0, BTreeMap::from([(202, CHUNKS)])));
        assert_eq!(std::fs::metadata(download.path).unwrap().len(), (CHUNKS * CHUNK_SIZE) as u64);
    }
}

#[test]
fn a_new_source_answers_1024_connections_at_once() {
    assert!(raise_open_files() > 4 * CONNECTIONS as u64, "this test has both ends of {CONNECTIONS} connections");
    let world = World::start();
    let content = bytes(CHUNK_SIZE + SHORT, 32);
    let (node, shared) = world.sharing("wanted.bin", &content);
    let file_hash = shared.file_hash.to_string();
    let address = node.plaintext_address().unwrap().to_string();
    let env = environment();
    let start = Barrier::new(CONNECTIONS);
    let answers: Vec<Result<bool, String>> = thread::scope(|scope| {
        let ask = || {
            start.wait();
            let chunk = download_chunk(&env, &address, &file_hash, 1).map_err(|error| error.to_string())?;
            Ok(chunk == content[CHUNK_SIZE..])
        };
        let one = |_| thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, ask).unwrap();
        let all: Vec<_> = (0..CONNECTIONS).map(one).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let failed: Vec<_> = answers.iter().filter(|answer| **answer != Ok(true)).collect();
    assert!(failed.is_empty(), "{} of {CONNECTIONS} failed, the first with {:?}", failed.len(), failed[0]);
}
