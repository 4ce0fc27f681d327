//! TLS on the same port: honest clients, the cost of a handshake, and the refusal of plaintext.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peernet_door::{Door, DoorLimits, PushError, Security, StreamLimits, StreamSender};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use super::alone::{alone, threads_and_fds};
use super::client::{Client, get, post};
use super::service::{BIG_BYTES, TestService};
use super::{PATIENCE, assert_alive, patient, short, wait_for};

type TlsClient = Client<StreamOwned<ClientConnection, TcpStream>>;

const NAME: &str = "door.example";

/// A door's side and its clients'.
fn both_sides() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let server = server.unwrap().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    (Arc::new(server), Arc::new(client.unwrap().with_root_certificates(roots).with_no_client_auth()))
}

struct Scene {
    door: Door,
    service: Arc<TestService>,
    trust: Arc<ClientConfig>,
}

impl Scene {
    fn open(limits: DoorLimits, plaintext: bool) -> Self {
        let (tls, trust) = both_sides();
        let service = Arc::new(TestService::default());
        let security = Security { tls: Some(tls), plaintext };
        let door = Door::bind_secured("127.0.0.1:0", limits, security, Arc::<TestService>::clone(&service)).unwrap();
        Self { door, service, trust }
    }

    fn address(&self) -> SocketAddr {
        self.door.local_addr()
    }

    fn client(&self) -> TlsClient {
        let session = ClientConnection::new(Arc::clone(&self.trust), ServerName::try_from(NAME).unwrap()).unwrap();
        Client::on(StreamOwned::new(session, Client::connect(self.address()).stream))
    }

    fn assert_alive(&self) {
        assert_eq!(self.client().get("/hello").text(), "hello");
        assert_eq!(self.door.stats().panics, 0);
    }
}

/// Returns the first flight of a client's handshake.
fn client_hello(trust: &Arc<ClientConfig>) -> Vec<u8> {
    let mut session = ClientConnection::new(Arc::clone(trust), ServerName::try_from(NAME).unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn requests_of_every_size_pass_through_it() {
    let scene = Scene::open(patient(), false);
    let mut client = scene.client();
    assert_eq!(client.get("/hello").text(), "hello");
    let body = "b".repeat(300_000);
    assert_eq!(client.ask(post("/echo", &body)).text(), body);
    let big = client.get("/big").body;
    assert!(big.len() == BIG_BYTES && big.iter().all(|byte| *byte == b'x'));
    // Many requests in one record, and one record for each byte.
    client.send(get("/hello").repeat(200));
    assert!((0..200).all(|_| client.answer().text() == "hello"));
    for byte in get("/hello").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(scene.door.stats().connections, 1);
}

#[test]
fn a_request_that_waits_is_answered_over_it() {
    let scene = Scene::open(patient(), false);
    let mut client = scene.client();
    client.send(get("/later") + &get("/hello"));
    wait_for(&scene.door, "the request", |_| scene.service.later_count() == 1);
    scene.service.reply_later();
    assert_eq!((client.answer().text(), client.answer().text()), ("later", "hello"));
}

#[test]
fn both_are_spoken_on_one_port_where_that_is_allowed() {
    let scene = Scene::open(patient(), true);
    assert_alive(&scene.door);
    scene.assert_alive();
}

#[test]
fn plaintext_is_refused_whatever_it_asks_where_it_is_not() {
    let scene = Scene::open(patient(), false);
    for request in [get("/hello"), post("/echo", "body"), "G".to_owned(), "\0\0\0".to_owned(), "\r\n".repeat(3_000)] {
        let mut client = Client::connect(scene.address());
        client.send(&request);
        let answer = client.answer();
        assert_eq!((answer.status, answer.code().as_str()), (400, "https_required"), "{request:?}");
        client.finish_sending();
        assert!(client.is_closed());
    }
    assert_eq!(scene.door.stats().requests, 0);
    scene.assert_alive();
}

#[test]
fn a_handshake_has_the_deadline_of_a_head_however_it_trickles() {
    let scene = Scene::open(short(), false);
    let hello = client_hello(&scene.trust);
    let began = Instant::now();
    let mut slow = Client::connect(scene.address());
    let mut stalled = Client::connect(scene.address());
    stalled.send(&hello[..hello.len() / 2]);
    let mut answered = Client::connect(scene.address());
    answered.send(&hello);
    let fed = hello
        .iter()
        .take_while(|byte| slow.try_send([**byte]).is_ok() && !slow.closes_within(Duration::from_millis(20)));
    let fed = fed.count();
    assert!(fed < hello.len() && began.elapsed() < PATIENCE / 2, "{fed} bytes in {:?}", began.elapsed());
    assert!(stalled.is_closed());
    // The door's flight, and then the end.
    let mut flight = Vec::new();
    let _ended_or_reset = answered.stream.read_to_end(&mut flight);
    assert!(!flight.is_empty());
    scene.assert_alive();
}

#[test]
fn what_is_no_handshake_ends_alone() {
    let scene = Scene::open(patient(), false);
    let hello = client_hello(&scene.trust);
    let alert = [21, 3, 3, 0, 2, 1, 0];
    for step in 0..hello.len().min(400) {
        let mut changed = hello.clone();
        changed[step] ^= 0x55;
        let mut client = Client::connect(scene.address());
        let _sent_or_closed = client.try_send(&changed);
        let _sent_or_closed = client.try_send(alert);
        client.finish_sending();
        let mut answer = Vec::new();
        let _ended_or_reset = client.stream.read_to_end(&mut answer);
    }
    let mut endless = Client::connect(scene.address());
    let _cut_in_the_middle = endless.stream.write_all(&[22; 1 << 20]);
    scene.assert_alive();
    drop(endless);
    wait_for(&scene.door, "the end of all", |stats| stats.connections_open == 0);
}

#[test]
fn idle_sessions_cost_no_thread_and_are_told_of_the_end() {
    alone("tls::idle_sessions_cost_no_thread_and_are_told_of_the_end", None, || {
        let scene = Scene::open(DoorLimits { idle_deadline: Duration::from_secs(1), ..patient() }, false);
        scene.assert_alive();
        let (before, _) = threads_and_fds();
        let mut clients: Vec<_> = (0..100).map(|_| scene.client()).collect();
        assert!(clients.iter_mut().all(|client| client.get("/hello").status == 200));
        assert_eq!(threads_and_fds().0, before);
        assert!(clients.iter_mut().all(|client| client.is_closed()));
    });
}

#[test]
fn late_bodies_and_unread_replies_end_at_their_deadlines() {
    let scene = Scene::open(short(), false);
    let mut client = scene.client();
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\nhalf");
    assert_eq!(client.answer().code(), "timeout");
    let mut greedy = scene.client();
    greedy.send(get("/big"));
    wait_for(&scene.door, "the answer given up", |stats| stats.write_failures == 1);
    scene.assert_alive();
}

#[test]
fn a_drain_ends_sessions_in_order() {
    let scene = Scene::open(patient(), false);
    let mut idle = scene.client();
    let mut busy = scene.client();
    assert_eq!(idle.get("/hello").status, 200);
    busy.send(get("/gate"));
    scene.service.wait_for_waiting(1);
    let Scene { door, service, .. } = scene;
    let drain = std::thread::spawn(move || door.drain(PATIENCE));
    assert!(idle.is_closed());
    service.open_gate();
    let answer = busy.answer();
    assert_eq!((answer.text(), answer.header("connection")), ("passed", Some("close")));
    assert_eq!(drain.join().unwrap().cut, 0);
}

/// Opens a stream over TLS and returns both of its ends.
fn stream(scene: &Scene) -> (TlsClient, StreamSender) {
    let mut client = scene.client();
    assert_eq!(client.head_of(get("/stream")).status, 200);
    (client, scene.service.next_stream())
}

#[test]
fn streamed_events_arrive_one_by_one() {
    let scene = Scene::open(patient(), false);
    let (mut client, sender) = stream(&scene);
    for bytes in [1, 10, 16_384, 60_000] {
        let event = vec![b'e'; bytes];
        sender.push(&event).unwrap();
        assert!(client.chunk() == event, "{bytes}");
    }
    sender.finish();
    assert_eq!(client.chunk(), b"");
    assert!(client.is_closed());
    wait_for(&scene.door, "the stream's end", |stats| stats.streams_open == 0);
}

#[test]
fn a_slow_reader_gets_the_whole_stream() {
    let scene = Scene::open(patient(), false);
    let (mut client, sender) = stream(&scene);
    let mut pushed = 0;
    while sender.push(&[b'x'; 1_000]) == Ok(()) {
        pushed += 1_000;
    }
    assert!(pushed >= 64_000, "{pushed}");
    sender.finish();
    let received = std::iter::from_fn(|| Some(client.chunk().len()).filter(|length| *length > 0)).sum::<usize>();
    assert_eq!(received, pushed);
}

#[test]
fn streams_end_with_their_client_and_with_the_drain() {
    let scene = Scene::open(patient(), false);
    let (client, sender) = stream(&scene);
    drop(client);
    wait_for(&scene.door, "the client's end", |stats| stats.streams_open == 0);
    assert_eq!(sender.push(b"late"), Err(PushError::Closed));
    let (mut client, sender) = stream(&scene);
    sender.push(b"last").unwrap();
    let Scene { door, .. } = scene;
    let drain = std::thread::spawn(move || door.drain(PATIENCE));
    assert_eq!((client.chunk(), client.chunk()), (b"last".to_vec(), Vec::new()));
    assert!(client.is_closed());
    drop(client);
    assert_eq!(drain.join().unwrap().cut, 0);
}

#[test]
fn a_stalled_reader_of_a_stream_is_cut() {
    let streams = StreamLimits { stall_max: Duration::from_millis(300), ..StreamLimits::default() };
    let scene = Scene::open(DoorLimits { streams, ..patient() }, false);
    let (_client, sender) = stream(&scene);
    let begun = Instant::now();
    while sender.push(&[b'x'; 4_096]) != Err(PushError::Closed) {
        assert!(begun.elapsed() < PATIENCE, "the stalled client was not cut");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    scene.assert_alive();
}
