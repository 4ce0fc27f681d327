//! The authentication of the tracker by a node, and the data that the node sends to a server that fails.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use peernet::internals::Bundle;
use peernet::{Builder, Cancel, DownloadOptions, Log, Node, NodeError, Target};
use peernet_protos::identity::TRACKER_NAME;
use peernet_tracker::Tracker;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::testing::{Authority, Life};
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

fn https(address: SocketAddr) -> String {
    format!("https://{address}")
}

/// An address that can lead to another server later.
struct Switch {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Switch {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let switch = Self { address: listener.local_addr().unwrap(), target: Arc::new(Mutex::new(target)) };
        let target = Arc::clone(&switch.target);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(*target.lock().unwrap()).unwrap();
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                for (mut from, mut to) in [ends, (server, client)] {
                    std::thread::spawn(move || {
                        let _gone = io::copy(&mut from, &mut to);
                        let _gone = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        switch
    }

    fn turn(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}

/// Returns the builder of a node, and its log messages.
fn node(world: &World, name: &str, url: &str) -> (Builder, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let log = Log::new(move |_, message| heard.lock().unwrap().push(message.to_owned()));
    (Node::builder().home(world.path(name)).tracker(url).listen("127.0.0.1:0").log(log), said)
}

fn fingerprint(tracker: &Tracker) -> peernet::Fingerprint {
    tracker.app().authority.fingerprint().parse().unwrap()
}

fn tracker(world: &World, name: &str) -> Tracker {
    Tracker::builder().listen("127.0.0.1:0").data_dir(world.path(name)).bcrypt_cost(4).start().unwrap()
}

#[test]
fn the_first_authority_is_pinned_until_another_is_named() {
    let world = World::new();
    let switch = Switch::to(world.tracker.address());
    let (builder, said) = node(&world, "alice", &https(switch.address));
    let alice = builder.build().unwrap();
    assert!(matches!(alice.me(), Err(NodeError::NotLoggedIn(_))), "no authority is trusted yet");
    alice.register("a password").unwrap();
    let expected = fingerprint(&world.tracker);
    assert!(said.lock().unwrap().iter().any(|line| line.contains(&format!("sha256:{expected} on first use"))));
    assert_eq!(alice.ca_fingerprint().unwrap(), Some(expected));
    assert_eq!(alice.home().trust().pinned(&https(switch.address)).unwrap().unwrap().fingerprint(), expected);
    alice.me().unwrap();
    said.lock().unwrap().clear();
    alice.login(&peernet::LoginName::Peer(alice.account().unwrap().unwrap()), "a password").unwrap();
    assert!(!said.lock().unwrap().iter().any(|line| line.contains("first use")), "it is pinned");

    let other = tracker(&world, "other");
    switch.turn(other.address());
    let again = node(&world, "alice", &https(switch.address)).0.build().unwrap();
    for refused in [again.me().map(drop), again.register("a password").map(drop)] {
        let Err(NodeError::Refused { message: why, .. }) = refused else { panic!("{refused:?}") };
        assert!(why.contains("not the tracker that was trusted") && why.contains(&expected.to_string()), "{why}");
    }
    // The operator says that it is theirs.
    let now = fingerprint(&other);
    let named = node(&world, "alice", &https(switch.address)).0.ca_fingerprint(now).build().unwrap();
    named.register("a password").unwrap();
    named.me().unwrap();
    // A process that runs hears of it by the folder.
    again.me().unwrap();
    other.stop();
}

#[test]
fn with_a_fingerprint_only_that_authority_is_trusted() {
    let world = World::new();
    let url = https(world.tracker.address());
    let right = fingerprint(&world.tracker);
    let wrong = Bundle::parse(&Authority::new().pem()).unwrap().fingerprint();
    let (builder, _) = node(&world, "alice", &url);
    let Err(NodeError::Refused { message: why, .. }) =
        builder.ca_fingerprint(wrong).build().unwrap().register("a password")
    else {
        panic!("registered")
    };
    assert!(why.contains(&right.to_string()) && why.contains(&wrong.to_string()), "{why}");
    assert!(!world.path("alice").join("trust.json").exists() && !world.path("alice").join("credentials.json").exists());
    let (builder, said) = node(&world, "alice", &url);
    builder.ca_fingerprint(right).build().unwrap().register("a password").unwrap();
    assert!(!said.lock().unwrap().iter().any(|line| line.contains("first use")));
    // Also where the tracker is on this machine and spoken to in plaintext.
    let (builder, _) = node(&world, "bob", &world.tracker.url());
    assert!(builder.ca_fingerprint(wrong).build().unwrap().register("a password").is_err());
}

/// Shows certificates of whomever it is told to, and remembers all that it is asked.
struct Impostor {
    address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Impostor {
    /// Proves its role with a certificate of `own`, and answers everything with the authorities `shown`.
    fn start(own: &Authority, shown: String) -> Self {
        let key = own.parts(peernet_engine::ids::PeerId::from_random([1; 16]), Life::day()).key;
        let certificate = Bundle::parse(&own.issue(&[TRACKER_NAME.to_owned()], &key, Life::day())).unwrap();
        let chain = rustls::pki_types::CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap();
        let secret = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![chain], secret).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut heard = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut first = [0];
                if stream.peek(&mut first).unwrap_or(0) == 0 || first == *b"E" {
                    break;
                }
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                heard.extend(answer(StreamOwned::new(session, stream), &shown));
            }
            heard
        });
        Self { address, thread }
    }

    /// All that was asked once a handshake had come to its end.
    fn end(self) -> Vec<String> {
        TcpStream::connect(self.address).unwrap().write_all(b"E").unwrap();
        self.thread.join().unwrap()
    }
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>, shown: &str) -> Option<String> {
    stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = Vec::new();
    let mut piece = [0; 4_096];
    while !heard.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(len) => heard.extend(&piece[..len]),
        }
    }
    let body = json!({"fingerprint": "", "certificates": shown}).to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _gone = stream.write_all((head + &body).as_bytes());
    let _gone = stream.flush();
    Some(String::from_utf8_lossy(&heard).into_owned())
}

#[test]
fn an_impostor_receives_no_password_and_no_token() {
    let world = World::new();
    let theirs = Authority::new();
    let ours = world.tracker.app().authority.bundle();
    let right = fingerprint(&world.tracker);
    // It shows its own authority; its own and ours; ours only.
    for shown in [theirs.pem(), theirs.pem() + &ours, ours.clone()] {
        let impostor = Impostor::start(&theirs, shown);
        let (builder, _) = node(&world, "alice", &https(impostor.address));
        let result = builder.ca_fingerprint(right).build().unwrap().register("my secret password");
        assert!(matches!(result, Err(NodeError::Refused { .. })), "{result:?}");
        let heard = impostor.end();
        assert!(
            !heard.is_empty() && heard.iter().all(|asked| asked.starts_with("GET /api/v1/authority ")),
            "{heard:?}"
        );
        assert!(!world.path("alice").join("trust.json").exists());
    }
    // An impostor that takes the place of a known tracker later.
    let switch = Switch::to(world.tracker.address());
    let alice = node(&world, "alice", &https(switch.address)).0.build().unwrap();
    let peer = alice.register("my secret password").unwrap();
    let impostor = Impostor::start(&theirs, theirs.pem());
    switch.turn(impostor.address);
    let again = node(&world, "alice", &https(switch.address)).0.build().unwrap();
    assert!(matches!(again.me(), Err(NodeError::Refused { .. })));
    assert!(again.login(&peernet::LoginName::Peer(peer), "my secret password").is_err());
    assert_eq!(impostor.end(), Vec::<String>::new(), "no handshake came to its end");
}

#[test]
fn plaintext_beyond_this_machine_must_be_allowed() {
    let world = World::new();
    let refused = node(&world, "alice", "http://tracker.invalid:8080").0.build().unwrap();
    let text = refused.register("a password").unwrap_err().to_string();
    assert!(text.contains("plaintext") && text.contains("https://") && text.contains("--allow-plaintext"), "{text}");
    let allowed = node(&world, "bob", "http://tracker.invalid:8080").0.allow_plaintext(true).build().unwrap();
    let result = allowed.register("a password");
    assert!(matches!(result, Err(NodeError::Unreachable(_))), "{result:?}");
}

#[test]
fn missing_and_expiring_certificates_are_renewed_while_serving() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    let path = alice.home().identity().certificate_path();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(alice.ca_fingerprint().unwrap(), None);
    alice.serve().unwrap();
    assert_eq!(alice.ca_fingerprint().unwrap(), Some(fingerprint(&world.tracker)));
    alice.stop();
    // As if half of its life had been over for long.
    let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut aged = stored.clone();
    let now = super::testing::unix_now();
    (aged["obtained_at"], aged["expires_at"]) = (json!(now - 200), json!(now + 100));
    std::fs::write(&path, aged.to_string()).unwrap();
    let alice = Node::builder().home(world.path("alice")).listen("127.0.0.1:0").build().unwrap();
    alice.serve().unwrap();
    let expires_at = || {
        let text = std::fs::read(&path).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["expires_at"].as_u64().unwrap()
    };
    let deadline = Instant::now() + PATIENCE;
    while expires_at() <= now + 100 {
        assert!(Instant::now() < deadline, "not renewed");
        std::thread::yield_now();
    }
    let (file, hash) = world.file("f.bin", 3 << 20);
    alice.share(&file, &mut |_| {}, &Cancel::new()).unwrap();
    let options = DownloadOptions { output: Some(world.path("copy.bin")), ..DownloadOptions::default() };
    bob.download(&Target::parse(&hash).unwrap(), &options, &mut |_| {}, &Cancel::new()).unwrap();
}

/// Waits until alice has the revocations, calls her as `caller`, and expects a refusal.
fn refused_by(alice: &Node, file: &std::path::Path, caller: Arc<peernet::internals::Membership>, world: &World) {
    let deadline = Instant::now() + PATIENCE;
    let shared = alice.share(file, &mut |_| {}, &Cancel::new()).unwrap();
    while alice.home().identity().certificate_path().with_file_name("revocations.json").metadata().is_err() {
        assert!(Instant::now() < deadline, "the node never asked for revocations");
        std::thread::yield_now();
    }
    let manifest = peernet::internals::hash_file_identified(file, 1, &mut |_| {}, &Cancel::new()).unwrap().0;
    let source = peernet::internals::Source {
        transport: peernet::Transport::Tls,
        ..crate::swarm::source(alice.account().unwrap().unwrap(), &alice.listen_address().unwrap().to_string())
    };
    let directory = crate::swarm::Catalogue::of(&manifest, vec![source]);
    let part = world.path("part");
    let copy = world.path("copy");
    let mut job = peernet::internals::FetchJob::new(shared.file_hash, part, copy, 1);
    job.dial = peernet::internals::Dial::tls(caller);
    // The download would try again until its generous limit; the test has seen enough at the first refusal.
    let mut note = None;
    let cancel = Cancel::new();
    let mut watch = |progress: &peernet::FetchProgress| {
        note = progress.note.clone().or(note.take());
        if note.as_deref().is_some_and(|note| note.contains("revoked")) {
            cancel.cancel();
        }
    };
    let result = peernet::internals::fetch(job, &directory, &mut watch, &cancel);
    assert!(result.is_err(), "{result:?}");
    assert!(note.as_deref().is_some_and(|note| note.contains("revoked")), "{note:?}");
    assert_eq!(alice.bytes_sent(), 0);
}

#[test]
fn peers_stop_serving_a_suspended_account() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    let url = world.tracker.url();
    let account = bob.account().unwrap().unwrap();
    let identity = bob.home().identity().load(&url, account).unwrap().unwrap();
    let bob = peernet::internals::Membership::new(identity);
    let (file, _) = world.file("f.bin", 1 << 20);
    let app = Arc::clone(world.tracker.app());
    peernet_tracker::admin::suspend(&*app.store, (app.clock)(), &account.to_string(), "a test").unwrap();
    // The tracker's other threads hear of it in a moment.
    let deadline = Instant::now() + PATIENCE;
    while !app.accounts.is_suspended(account) {
        assert!(Instant::now() < deadline, "not suspended");
        std::thread::yield_now();
    }
    alice.serve().unwrap();
    refused_by(&alice, &file, bob, &world);
}

#[test]
fn peers_stop_serving_a_device_that_was_logged_out() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    let url = world.tracker.url();
    let account = bob.account().unwrap().unwrap();
    let identity = bob.home().identity().load(&url, account).unwrap().unwrap();
    assert!(identity.device().is_some());
    let ended = bob.logout().unwrap().unwrap();
    assert_eq!((ended.account, ended.device), (account, identity.device()));
    assert_eq!(ended.at_tracker, peernet::internals::AtTracker::Ended);
    assert!(matches!(bob.me(), Err(NodeError::NotLoggedIn(_))) && bob.logout().unwrap().is_none());
    let bob = peernet::internals::Membership::new(identity);
    let (file, _) = world.file("f.bin", 1 << 20);
    alice.serve().unwrap();
    refused_by(&alice, &file, bob, &world);
}

/// A tracker from before there were certificates: knows how to register, and nothing else.
fn older_tracker() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 8_192];
            let len = stream.read(&mut head).unwrap_or(0);
            let (status, body) = match head[..len].starts_with(b"POST /api/v1/peers/register ") {
                true => ("201 Created", json!({"peer_id": "123e4567-e89b-42d3-a456-426614174000", "token": "t"})),
                false => ("404 Not Found", json!({"error": "no such call", "code": "not_found"})),
            };
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _gone = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

#[test]
fn without_certificates_only_allowed_plaintext_works() {
    let world = World::new();
    let url = format!("http://{}", older_tracker());
    let strict = node(&world, "alice", &url).0.build().unwrap();
    strict.register("a password").unwrap();
    assert_eq!(strict.ca_fingerprint().unwrap(), None);
    let Err(NodeError::Refused { message: why, .. }) = strict.serve() else { panic!("it serves") };
    assert!(why.contains("no certificates") && why.contains("--allow-plaintext"), "{why}");
    let open = node(&world, "alice", &url).0.allow_plaintext(true).build().unwrap();
    let listens = open.serve().unwrap();
    assert_eq!(open.plaintext_address(), Some(listens));
}
