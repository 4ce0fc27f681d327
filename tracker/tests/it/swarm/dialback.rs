//! Version 1 addresses that do not answer drop out of lookups.

use std::net::TcpListener;

use peernet_tracker::Tracker;

use super::client::{Api, File, eventually, quiet};

#[test]
fn who_answers_stays_listed_and_who_does_not_drops_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = peernet_tracker::boot::config::Config { dialback: true, ..quiet(folder.path()) };
    let tracker = Tracker::builder().config(config).start().unwrap();
    let api = Api::new(&tracker.url());
    let alive = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let alive_peer = api.peer_at(&alive.local_addr().unwrap().to_string());
    let dead_peer = api.peer_at(&dead);
    let caller = api.peer(9);
    let file = File::new(1, 2);
    dead_peer.announce_v1(&file);
    alive_peer.announce_v1(&file);
    alive.accept().unwrap();
    eventually("only the one that answers is listed", || {
        caller.lookup(&file).iter().all(|(_, peers)| *peers == [alive_peer.id.clone()])
    });
    dead_peer.announce_chunk(&file, 0);
    eventually("a peer that announces again is listed, dialled, and left out again", || {
        caller.lookup(&file).iter().all(|(_, peers)| *peers == [alive_peer.id.clone()])
    });
}
