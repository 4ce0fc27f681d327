//! The embedding API against a real tracker.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use peernet::internals::Credentials;
use peernet::{Cancel, DownloadOptions, Node, NodeError, ShareState, Target};
use peernet_engine::ids::PeerId;
use peernet_testkit::fixture::sha256_file;

use crate::world::World;

fn to(path: std::path::PathBuf) -> DownloadOptions {
    DownloadOptions { output: Some(path), ..DownloadOptions::default() }
}

#[test]
fn a_download_can_be_shared_on_and_served_to_a_third() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    let carol = world.node("carol");
    let (path, hash) = world.file("f.bin", (5 << 20) + 1);
    alice.serve().unwrap();
    bob.serve().unwrap();
    let shared = alice.share(&path, &mut |_| {}, &Cancel::new()).unwrap();
    let target = Target::parse(&shared.link).unwrap();
    let options = DownloadOptions { share: true, ..to(world.path("bob.bin")) };
    bob.download(&target, &options, &mut |_| {}, &Cancel::new()).unwrap();
    assert_eq!(bob.shares()[0].state, ShareState::Ready);
    alice.stop();
    let done = carol.download(&target, &to(world.path("carol.bin")), &mut |_| {}, &Cancel::new()).unwrap();
    assert_eq!(sha256_file(&done.path).unwrap(), hash);
    assert_eq!(done.sources.len(), 1);
}

#[test]
fn empty_and_tiny_files_travel_too() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    alice.serve().unwrap();
    for size in [0, 1] {
        let (path, hash) = world.file(&format!("{size}.bin"), size);
        let shared = alice.share(&path, &mut |_| {}, &Cancel::new()).unwrap();
        let target = Target::parse(&shared.file_hash.to_string()).unwrap();
        let done = bob.download(&target, &to(world.path(&format!("copy{size}.bin"))), &mut |_| {}, &Cancel::new());
        assert_eq!(sha256_file(&done.unwrap().path).unwrap(), hash);
    }
}

#[test]
fn a_changed_file_is_replaced_by_its_new_version() {
    let world = World::new();
    let alice = world.node("alice");
    let (path, hash) = world.file("f.bin", 100);
    alice.serve().unwrap();
    alice.share(&path, &mut |_| {}, &Cancel::new()).unwrap();
    fs::write(&path, "something else").unwrap();
    let now = alice.share(&path, &mut |_| {}, &Cancel::new()).unwrap();
    assert_ne!(now.file_hash.to_string(), hash);
    assert_eq!(alice.shares().iter().map(|share| share.file_hash).collect::<Vec<_>>(), [now.file_hash]);
    assert_eq!(alice.me().unwrap().files_shared, 1);
    let old = Target::parse(&hash).unwrap().file_hash();
    assert!(matches!(alice.unshare(old), Err(NodeError::NotFound(_))));
    alice.unshare(now.file_hash).unwrap();
    assert_eq!(alice.me().unwrap().files_shared, 0);
}

#[test]
fn a_missing_account_and_a_wrong_password_are_errors() {
    let world = World::new();
    let build = |name: &str, address: &str| {
        Node::builder()
            .home(world.path(name))
            .tracker(world.tracker.url())
            .address(address)
            .listen("127.0.0.1:0")
            .build()
            .unwrap()
    };
    let node = build("one", "127.0.0.1:9");
    assert!(matches!(node.serve(), Err(NodeError::NotLoggedIn(_))));
    assert!(matches!(node.me(), Err(NodeError::NotLoggedIn(_))));
    let id = node.register("right").unwrap();
    assert_eq!(build("two", "127.0.0.1:9").register("right").unwrap(), id, "the same address and password log in");
    let refused = build("three", "127.0.0.1:9").register("wrong").unwrap_err();
    assert!(matches!(&refused, NodeError::Refused { code: Some(code), .. } if code == "address_taken"), "{refused:?}");
    assert!(matches!(Node::builder().home(world.path("four")).build(), Err(NodeError::NotLoggedIn(_))));
    assert!(matches!(Node::builder().home(world.path("five")).tracker("t").build(), Err(NodeError::Invalid(_))));
}

#[test]
fn a_cancelled_download_leaves_nothing_under_the_final_name() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    let (path, hash) = world.file("f.bin", 30 << 20);
    alice.serve().unwrap();
    alice.share(&path, &mut |_| {}, &Cancel::new()).unwrap();
    let target = Target::parse(&hash).unwrap();
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let result = bob.download(&target, &to(world.path("copy.bin")), &mut |_| stop.cancel(), &cancel);
    assert!(matches!(result, Err(NodeError::Cancelled)), "{result:?}");
    assert!(!world.path("copy.bin").exists());
}

#[test]
fn a_node_starts_without_its_tracker() {
    let world = World::new();
    let node = world.node("node");
    let (path, hash) = world.file("f.bin", 10);
    let _folder = world.without_tracker();
    node.serve().unwrap();
    let target = Target::parse(&hash).unwrap();
    let result = node.download(&target, &to(path.with_file_name("copy")), &mut |_| {}, &Cancel::new());
    assert!(matches!(result, Err(NodeError::Unreachable(_))), "{result:?}");
    assert!(matches!(node.me(), Err(NodeError::Unreachable(_))));
}

#[test]
fn one_folder_is_served_by_one_node() {
    let world = World::new();
    let first = world.node("node");
    first.serve().unwrap();
    let other = || Node::builder().home(world.path("node")).listen("127.0.0.1:0");
    assert!(matches!(other().build().unwrap().serve(), Err(NodeError::InUse(_))));
    let passing = other().passing_shares().build().unwrap();
    passing.serve().unwrap();
    passing.share(world.file("f.bin", 10).0, &mut |_| {}, &Cancel::new()).unwrap();
    passing.stop();
    first.stop();
    assert!(other().build().unwrap().shares().is_empty());
    other().build().unwrap().serve().unwrap();
}

#[test]
fn cancelling_does_not_wait_for_a_silent_tracker() {
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let node = Node::builder().home(folder.path()).tracker(&url).build().unwrap();
    let peer_id = PeerId::from_random([1; 16]);
    let token = "t".to_owned();
    let tracker = url;
    let address = None;
    let device = None;
    let credentials = Credentials { tracker, peer_id, address, token, obtained_at: 0, expires_at: 0, device };
    node.home().credentials().save(&credentials).unwrap();
    let cancel = Cancel::new();
    let canceller = std::thread::spawn({
        let cancel = cancel.clone();
        move || {
            let asked = silent.accept().unwrap();
            cancel.cancel();
            (Instant::now(), asked)
        }
    });
    let target = Target::parse(&"ab".repeat(32)).unwrap();
    let result = node.download(&target, &to(folder.path().join("copy")), &mut |_| {}, &cancel);
    let (cancelled_at, _asked) = canceller.join().unwrap();
    assert!(matches!(result, Err(NodeError::Cancelled)), "{result:?}");
    // The tracker client would wait for an answer for 20 s.
    assert!(cancelled_at.elapsed() < Duration::from_secs(10), "{:?}", cancelled_at.elapsed());
}

#[test]
fn a_file_that_changes_at_its_source_comes_from_another() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    let carol = world.node("carol");
    let (path, hash) = world.file("f.bin", (24 << 20) + 1);
    let twin = world.path("twin.bin");
    fs::copy(&path, &twin).unwrap();
    for (node, path) in [(&alice, &path), (&carol, &twin)] {
        node.serve().unwrap();
        node.share(path, &mut |_| {}, &Cancel::new()).unwrap();
    }
    let mut changed = fs::read(&path).unwrap();
    changed.iter_mut().for_each(|byte| *byte ^= 1);
    fs::write(&path, changed).unwrap();
    let target = Target::parse(&hash).unwrap();
    let done = bob.download(&target, &to(world.path("copy.bin")), &mut |_| {}, &Cancel::new()).unwrap();
    assert_eq!(sha256_file(&done.path).unwrap(), hash);
    assert!(alice.shares().is_empty(), "{:?}", alice.shares());
    // The tracker hears of it in the background; each look is a request, which is pause enough.
    let deadline = Instant::now() + Duration::from_secs(30);
    while alice.me().unwrap().files_shared > 0 {
        assert!(Instant::now() < deadline, "still announced");
    }
    assert_eq!(carol.me().unwrap().files_shared, 1);
}
