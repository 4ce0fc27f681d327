//! Version 1 sources that lie, leave, are slow or vanish.

use std::fs;
use std::sync::Arc;

use peernet_testkit::fixture::{bytes, sha256_hex};
use peernet_testkit::relay::Faults;
use peernet_testkit::v1::CHUNK_SIZE;

use super::world::{World, download, eventually, peer_of};

const MIB: u64 = 1 << 20;

#[test]
fn a_lying_old_source_beside_a_new_one_costs_a_retry() {
    let world = World::start();
    let content = bytes(6 * CHUNK_SIZE + 1, 21);
    // So slow that the liar is asked for some.
    let faults = Faults { bytes_per_second: 4 * MIB, ..Faults::default() };
    let (honest, _relay) = world.sharing_through(faults, "truth.bin", &content);
    let liar = world.old_liar("truth.bin", &content);
    let node = world.node("downloader");
    let done = download(&node, &liar.file_hash, &world.folder("down")).unwrap();
    assert_eq!(fs::read(&done.path).unwrap(), content);
    assert!(liar.served() > 0, "the liar was asked");
    let liar_id = liar.peer_id.parse().unwrap();
    assert!(done.sources.iter().all(|(peer, sent)| *peer != liar_id || *sent == 0), "{done:?}");
    eventually("the complaint", || world.is_demoted(peer_of(&node), liar_id));
    assert!(!world.is_demoted(peer_of(&node), peer_of(&honest)), "the honest one is not complained of");
}

#[test]
fn a_lying_old_source_beside_an_old_one_costs_a_retry() {
    let world = World::start();
    let content = bytes(5 * CHUNK_SIZE + 3, 22);
    let faults = Faults { bytes_per_second: 4 * MIB, ..Faults::default() };
    let (_honest, _relay) = world.old_sharer_through(faults, "truth.bin", &content);
    let liar = world.old_liar("truth.bin", &content);
    let node = world.node("downloader");
    let done = download(&node, &liar.file_hash, &world.folder("down")).unwrap();
    assert_eq!(fs::read(&done.path).unwrap(), content);
    assert!(liar.served() > 0, "the liar was asked");
    eventually("the complaint", || world.is_demoted(peer_of(&node), liar.peer_id.parse().unwrap()));
}

#[test]
fn a_liar_alone_gives_no_file() {
    let world = World::start();
    let liar = world.old_liar("lie.bin", &bytes(CHUNK_SIZE + 1, 23));
    let down = world.folder("down");
    assert!(download(&world.node("downloader"), &liar.file_hash, &down).is_err());
    assert!(!down.join("lie.bin").exists());
}

#[test]
fn an_old_source_that_left_drops_out_of_lookups() {
    let world = World::start();
    let sharer = world.old_sharer("gone.bin", &bytes(2 * CHUNK_SIZE, 24));
    let file_hash = sharer.file_hash.clone();
    let client = world.old_client();
    assert_eq!(client.lookup(&file_hash).unwrap().len(), 2);
    let app = Arc::clone(world.tracker.app());
    let address = app.swarm.v1_address(sharer.peer_id.parse().unwrap()).expect("it has announced");
    drop(sharer);
    // The round that comes every few minutes, now.
    app.dialback.check(&address);
    eventually("the sharer's absence", || client.lookup(&file_hash).unwrap().is_empty());
    assert!(download(&world.node("downloader"), &file_hash, &world.folder("down")).is_err());
}

#[test]
fn slow_sources_of_both_versions_are_waited_for() {
    let world = World::start();
    let node = world.node("downloader");
    let faults = Faults { bytes_per_second: 2 * MIB, ..Faults::default() };
    for is_old in [true, false] {
        let content = bytes(3 * CHUNK_SIZE + 100, 25 + u64::from(is_old));
        let name = format!("slow-{is_old}.bin");
        let keep = match is_old {
            true => (Some(world.old_sharer_through(faults.clone(), &name, &content)), None),
            false => (None, Some(world.sharing_through(faults.clone(), &name, &content))),
        };
        let done = download(&node, &sha256_hex(&content), &world.folder("down")).unwrap();
        assert_eq!(fs::read(&done.path).unwrap(), content, "{name}");
        drop(keep);
    }
}

#[test]
fn vanishing_sources_of_both_versions_are_replaced() {
    let world = World::start();
    let node = world.node("downloader");
    let vanishing = Faults { vanish_after_bytes: 2 * MIB, ..Faults::default() };
    let slow = Faults { bytes_per_second: 8 * MIB, ..Faults::default() };
    for is_old in [true, false] {
        let content = bytes(8 * CHUNK_SIZE + 100, 28 + u64::from(is_old));
        let name = format!("vanishing-{is_old}.bin");
        // Slow, so that the one that vanishes is asked too.
        let (_steady, _relay) = world.old_sharer_through(slow.clone(), &name, &content);
        let (passed, keep) = match is_old {
            true => {
                let (sharer, relay) = world.old_sharer_through(vanishing.clone(), &name, &content);
                (relay, (Some(sharer), None))
            }
            false => {
                let (sharer, relay) = world.sharing_through(vanishing.clone(), &name, &content);
                (relay, (None, Some(sharer)))
            }
        };
        let done = download(&node, &sha256_hex(&content), &world.folder("down")).unwrap();
        assert_eq!(fs::read(&done.path).unwrap(), content, "{name}");
        assert!(passed.passed() > 0, "{name}: it was asked");
        drop(keep);
    }
}
