//! A recorder on the line between two peers: it sees that there is a transfer, between which addresses, and how large
//! it is.

use peernet_testkit::relay::{Faults, Relay};

use super::{PATIENCE, Stage, last_word};

const NAME: &str = "quarterly-figures.bin";
/// The line that the file repeats.
const CONTENT: &str = "nobody else is to read this line\n";
const SIZE: usize = 3 << 20;

fn recorder(target: Option<std::net::SocketAddr>) -> Relay {
    let faults = Faults { record: true, ..Faults::default() };
    let relay = Relay::start_unaimed(faults).unwrap();
    target.into_iter().for_each(|target| relay.aim(target));
    relay
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Returns every secret of a transfer between these two accounts.
fn secrets(stage: &Stage) -> Vec<String> {
    let mut secrets = vec![NAME.to_owned(), CONTENT.trim_end().to_owned(), "Bearer".to_owned(), "bearer".to_owned()];
    for who in ["alice", "bob"] {
        let text = std::fs::read_to_string(stage.path(who).join("credentials.json")).unwrap();
        let credentials: serde_json::Value = serde_json::from_str(&text).unwrap();
        secrets.push(credentials["token"].as_str().unwrap().to_owned());
        secrets.push(format!("password of {who}"));
    }
    secrets
}

/// Runs a whole transfer through relays, and returns their records: between peers and tracker, and between the peers.
fn transfer(scheme: &str) -> (Stage, Vec<u8>, Vec<u8>) {
    let mut stage = Stage::new();
    let to_tracker = recorder(Some(stage.tracker.as_ref().unwrap().address()));
    stage.url = format!("{scheme}://{}", to_tracker.address());
    for who in ["alice", "bob"] {
        stage.run(who, &["register"]).ok();
    }
    let to_alice = recorder(None);
    let address = to_alice.address().to_string();
    let mut daemon = stage.start("alice", &["daemon", "--listen", "127.0.0.1:0", "--address", &address]);
    let line = daemon.line_with("peernet daemon listening on ", PATIENCE);
    to_alice.aim(last_word(&line).parse().unwrap());
    std::fs::write(stage.path(NAME), CONTENT.repeat(SIZE / CONTENT.len())).unwrap();
    let shared = stage.run("alice", &["share", NAME, "--json"]).ok().json();
    stage.run("bob", &["download", shared["file_hash"].as_str().unwrap(), "--output", "got.bin"]).ok();
    stage.assert_same(NAME, "got.bin");
    daemon.kill9();
    let seen_of_tracker = to_tracker.recorded();
    let seen_of_alice = to_alice.recorded();
    (stage, seen_of_tracker, seen_of_alice)
}

#[test]
fn a_listener_learns_neither_contents_nor_names_nor_secrets() {
    let (stage, tracker, peer) = transfer("https");
    assert!(peer.len() > SIZE, "all of it went this way: {} bytes", peer.len());
    for secret in secrets(&stage) {
        assert!(!contains(&tracker, &secret) && !contains(&peer, &secret), "{secret:?} was seen");
    }
}

/// Shows that the test above would notice a leak.
#[test]
fn a_listener_to_plaintext_learns_everything() {
    let (stage, tracker, peer) = transfer("http");
    let seen: Vec<bool> = secrets(&stage).iter().map(|secret| contains(&tracker, secret)).collect();
    // All but the contents, which never pass the tracker, and one of two spellings.
    assert_eq!(seen.iter().filter(|seen| **seen).count(), seen.len() - 2, "{seen:?}");
    assert!(!contains(&peer, CONTENT.trim_end()), "peers encrypt also where the tracker is on this machine");
}
