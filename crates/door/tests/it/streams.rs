//! Streamed replies over real sockets: events arrive at once, slow clients hurt no other client, and every stream ends.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use peernet_door::{Door, DoorLimits, PushError, StreamLimits, StreamSender};
use socket2::SockRef;

use super::alone::{alone, threads_and_fds};
use super::client::{Client, get};
use super::service::TestService;
use super::{PATIENCE, assert_alive, open, patient, wait_for};

/// Limits for tests that are not about time.
fn limits() -> DoorLimits {
    let streams = StreamLimits {
        total_max: 3_000,
        per_address_max: 3_000,
        silence_max: PATIENCE,
        stall_max: PATIENCE,
        ..StreamLimits::default()
    };
    DoorLimits { streams, ..patient() }
}

fn with_streams(change: impl FnOnce(&mut StreamLimits)) -> DoorLimits {
    let mut limits = limits();
    change(&mut limits.streams);
    limits
}

/// Opens a stream and returns both of its ends, the client's behind the head.
fn stream(door: &Door, service: &TestService) -> (Client, StreamSender) {
    let mut client = Client::connect(door.local_addr());
    let answer = client.head_of(get("/stream"));
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, Some("chunked")));
    (client, service.next_stream())
}

/// Pushes until the buffer is full; how many bytes were taken.
fn fill(sender: &StreamSender, piece: &[u8]) -> usize {
    let deadline = Instant::now() + PATIENCE;
    let mut taken = 0;
    let mut refused = 0;
    // A worker may make room once more after the first refusal, while the kernel's buffers still grow.
    while refused < 200 {
        assert!(Instant::now() < deadline, "the buffer never filled");
        match sender.push(piece) {
            Ok(()) => {
                taken += piece.len();
                refused = 0;
            }
            Err(PushError::Full) => {
                refused += 1;
                thread::park_timeout(Duration::from_millis(1));
            }
            Err(PushError::Closed) => panic!("the stream was closed"),
        }
    }
    taken
}

/// Waits until the producer sees the stream closed.
fn wait_until_closed(sender: &StreamSender) {
    let deadline = Instant::now() + PATIENCE;
    while !sender.is_closed() {
        assert!(Instant::now() < deadline, "the producer did not learn that the stream is closed");
        thread::park_timeout(Duration::from_millis(1));
    }
    assert_eq!(sender.push(b"late"), Err(PushError::Closed));
}

#[test]
fn an_event_arrives_without_a_further_push() {
    let (door, service) = open(limits());
    let (mut client, sender) = stream(&door, &service);
    for event in ["data: one\n\n", "data: two\n\n"] {
        sender.push(event.as_bytes()).unwrap();
        assert_eq!(client.chunk(), event.as_bytes());
    }
    sender.finish();
    assert_eq!(client.chunk(), b"", "the last chunk");
    assert!(client.is_closed());
    wait_for(&door, "the stream's end", |stats| stats.streams_open == 0);
    assert_alive(&door);
}

#[test]
fn http_1_0_gets_the_bytes_until_the_connection_ends() {
    let (door, service) = open(limits());
    let mut client = Client::connect(door.local_addr());
    let answer = client.head_of("GET /stream HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None));
    let sender = service.next_stream();
    sender.push(b"plain").unwrap();
    sender.finish();
    assert_eq!(client.rest(), b"plain");
}

#[test]
fn head_gets_no_body_and_the_producer_is_told() {
    let (door, service) = open(limits());
    let mut client = Client::connect(door.local_addr());
    let answer = client.head_of("HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    wait_until_closed(&service.next_stream());
    assert_eq!(client.get("/hello").text(), "hello", "the connection is kept");
}

#[test]
fn a_dropped_producer_leaves_the_reply_incomplete() {
    let (door, service) = open(limits());
    let (mut client, sender) = stream(&door, &service);
    sender.push(b"half").unwrap();
    drop(sender);
    assert_eq!(client.rest(), b"4\r\nhalf\r\n", "without the last chunk");
    wait_for(&door, "the stream's end", |stats| stats.streams_open == 0);
}

#[test]
fn a_slow_reader_gets_everything_and_never_blocks_the_producer() {
    let (door, service) = open(limits());
    let (mut client, sender) = stream(&door, &service);
    SockRef::from(&client.stream).set_recv_buffer_size(64 * 1024).unwrap();
    let taken = fill(&sender, &[b'x'; 1000]);
    assert_eq!(sender.push(&[b'x'; 64 * 1024]), Err(PushError::Full));
    assert_alive(&door);
    let reader = thread::spawn(move || {
        let mut received = 0;
        loop {
            match client.chunk().len() {
                0 => return received,
                count => received += count,
            }
        }
    });
    sender.finish();
    assert_eq!(reader.join().unwrap(), taken);
}

#[test]
fn buffered_bytes_stay_within_the_bound() {
    const BUFFER: usize = 8 * 1024;
    let (door, service) = open(with_streams(|streams| streams.buffer_bytes_max = BUFFER));
    let (_client, sender) = stream(&door, &service);
    // Whatever the kernel takes, the door buffers no more than this.
    fill(&sender, &[b'x'; 1000]);
    let buffered = sender.buffered_bytes();
    assert!(buffered <= BUFFER && buffered > BUFFER - 2_000, "{buffered}");
    assert_eq!(sender.push(&[b'x'; BUFFER + 1]), Err(PushError::Full));
}

#[test]
fn a_stalled_reader_is_cut() {
    let (door, service) = open(with_streams(|streams| streams.stall_max = Duration::from_millis(300)));
    let (_client, sender) = stream(&door, &service);
    let piece = [b'x'; 4096];
    let deadline = Instant::now() + PATIENCE;
    while sender.push(&piece) != Err(PushError::Closed) {
        assert!(Instant::now() < deadline, "the stalled client was not cut");
        thread::park_timeout(Duration::from_millis(1));
    }
    wait_for(&door, "the cut", |stats| (stats.streams_cut, stats.connections_open) == (1, 0));
    assert_alive(&door);
}

#[test]
fn a_silent_producer_is_cut_and_heartbeats_keep_a_stream() {
    let (door, service) = open(with_streams(|streams| streams.silence_max = Duration::from_millis(1_500)));
    let (mut silent, sender) = stream(&door, &service);
    let (mut alive, beating) = stream(&door, &service);
    let begun = Instant::now();
    while !sender.is_closed() {
        assert!(begun.elapsed() < PATIENCE, "the silent stream was not cut");
        beating.push(b":\n\n").unwrap();
        assert_eq!(alive.chunk(), b":\n\n");
        thread::park_timeout(Duration::from_millis(20));
    }
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(silent.rest(), b"");
    beating.finish();
    assert_eq!(alive.chunk(), b"");
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let (door, service) = open(limits());
    let leave: [fn(Client); 3] = [drop, Client::reset, |client| client.finish_sending()];
    for leave in leave {
        let (client, sender) = stream(&door, &service);
        leave(client);
        wait_until_closed(&sender);
    }
    wait_for(&door, "the end of all streams", |stats| (stats.streams_open, stats.connections_open) == (0, 0));
}

#[test]
fn a_client_that_goes_on_sending_is_cut() {
    let (door, service) = open(limits());
    let (mut client, sender) = stream(&door, &service);
    client.send(get("/hello"));
    sender.push(b"still").unwrap();
    assert_eq!(client.chunk(), b"still", "a pipelined request is not answered within the stream");
    let mut flood = client.stream.try_clone().unwrap();
    while flood.write_all(&[b'x'; 64 * 1024]).is_ok() {}
    wait_until_closed(&sender);
    assert_alive(&door);
}

#[test]
fn a_drain_finishes_streams() {
    let (door, service) = open(limits());
    let mut streams: Vec<_> = (0..20).map(|_| stream(&door, &service)).collect();
    for (_, sender) in &streams {
        sender.push(b"before").unwrap();
    }
    let drain = thread::spawn(move || door.drain(PATIENCE));
    for (client, sender) in &mut streams {
        assert_eq!((client.chunk(), client.chunk()), (b"before".to_vec(), Vec::new()));
        assert!(client.is_closed());
        wait_until_closed(sender);
    }
    drop(streams);
    let report = drain.join().unwrap();
    assert_eq!((report.in_flight, report.cut, report.stuck), (20, 0, 0));
}

#[test]
fn a_drain_ends_streams_whose_producers_never_stop() {
    let (door, service) = open(limits());
    let (mut client, sender) = stream(&door, &service);
    let producer = thread::spawn(move || while sender.push(b"more") != Err(PushError::Closed) {});
    let reader = thread::spawn(move || while !client.chunk().is_empty() {});
    let report = door.drain(PATIENCE);
    assert_eq!((report.cut, report.stuck), (0, 0));
    producer.join().unwrap();
    reader.join().unwrap();
}

#[test]
fn streams_beyond_the_limits_are_refused() {
    let limits = with_streams(|streams| (streams.total_max, streams.per_address_max) = (3, 2));
    let (door, service) = open(limits);
    let from = |last: u8| -> (Client, _) {
        let mut client = Client::connect_from(IpAddr::from([127, 0, 0, last]), door.local_addr());
        let answer = client.head_of(get("/stream"));
        (client, (answer.status, service.next_stream()))
    };
    let mut open = Vec::new();
    for (address, expected) in [(1, 200), (1, 200), (1, 503), (2, 200), (3, 503)] {
        let (client, (status, sender)) = from(address);
        assert_eq!(status, expected, "{address}");
        if status == 503 {
            wait_until_closed(&sender);
        }
        open.push((client, sender));
    }
    open.clear();
    wait_for(&door, "the end of all streams", |stats| stats.streams_open == 0);
    assert_eq!(from(1).1.0, 200);
}

#[test]
fn a_thousand_streams_cost_no_thread() {
    alone("streams::a_thousand_streams_cost_no_thread", None, || {
        let (door, service) = open(limits());
        assert_alive(&door);
        let (before, _) = threads_and_fds();
        let mut streams: Vec<_> = (0..1_000).map(|_| stream(&door, &service)).collect();
        assert_eq!(threads_and_fds().0, before);
        for (_, sender) in &streams {
            sender.push(b"tick").unwrap();
        }
        assert!(streams.iter_mut().all(|(client, _)| client.chunk() == b"tick"));
        assert_eq!((threads_and_fds().0, door.stats().streams_open), (before, 1_000));
        assert_alive(&door);
        drop(streams);
        wait_for(&door, "the end of all streams", |stats| (stats.streams_open, stats.connections_open) == (0, 0));
    });
}

#[test]
fn producers_on_many_threads_keep_their_order() {
    const PUSHES: u32 = 2_000;
    let (door, service) = open(limits());
    let streams: Vec<_> = (0..8).map(|_| stream(&door, &service)).collect();
    thread::scope(|scope| {
        for (mut client, sender) in streams {
            scope.spawn(move || {
                for number in 0..PUSHES {
                    while sender.push(format!("{number}\n").as_bytes()) == Err(PushError::Full) {
                        thread::yield_now();
                    }
                }
                sender.finish();
            });
            scope.spawn(move || {
                let mut received = Vec::new();
                while let chunk @ [_, ..] = &*client.chunk() {
                    received.extend_from_slice(chunk);
                }
                let expected: String = (0..PUSHES).map(|number| format!("{number}\n")).collect();
                assert_eq!(String::from_utf8(received).unwrap(), expected);
            });
        }
    });
}

#[test]
fn a_reader_of_single_bytes_gets_the_stream() {
    let (door, service) = open(limits());
    let mut stream = TcpStream::connect(door.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(get("/stream").as_bytes()).unwrap();
    let sender = service.next_stream();
    sender.push(&[b'y'; 5_000]).unwrap();
    sender.finish();
    let bytes: Vec<u8> = std::iter::from_fn(|| {
        let mut byte = [0];
        (stream.read(&mut byte).unwrap() == 1).then_some(byte[0])
    })
    .collect();
    let text = String::from_utf8(bytes).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(body.ends_with("\r\n0\r\n\r\n"));
    assert_eq!(body.matches('y').count(), 5_000);
}
