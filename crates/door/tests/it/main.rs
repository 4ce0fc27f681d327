//! The HTTP door against honest clients and against every attack that broke the bare server.
//!
//! Each test runs a real door on a free loopback port with short limits. Tests that count the threads and open files
//! of the process, or need a low limit of them, run themselves again in a process of their own ([`alone`]).

// Helpers are outside of test functions, where clippy.toml does not reach; a failing unwrap is a failing test.
#![allow(clippy::unwrap_used)]

mod alone;
mod bodies;
mod caps;
mod client;
mod drain;
mod heads;
mod honest;
mod local;
mod malformed;
mod mutations;
mod parsing;
mod pipelining;
mod service;
mod slow;
mod streams;
mod tls;
mod waits;

use std::sync::Arc;
use std::time::{Duration, Instant};

use peernet_door::{Door, DoorLimits, DoorStats};

use client::Client;
use service::TestService;

/// The time limit of a test for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

/// Limits for tests that are not about time: no deadline comes, however busy the machine.
fn patient() -> DoorLimits {
    DoorLimits {
        connections_max: 4_000,
        connections_per_address_max: 4_000,
        head_deadline: PATIENCE,
        body_deadline: PATIENCE,
        idle_deadline: PATIENCE,
        write_deadline: PATIENCE,
        ..DoorLimits::default()
    }
}

/// Limits that make the deadlines within a request come within a test's time.
fn short() -> DoorLimits {
    let soon = Duration::from_millis(700);
    DoorLimits { head_deadline: soon, body_deadline: soon, write_deadline: soon, ..patient() }
}

fn open(limits: DoorLimits) -> (Door, Arc<TestService>) {
    let service = Arc::new(TestService::default());
    let door = Door::bind("127.0.0.1:0", limits, Arc::<TestService>::clone(&service)).unwrap();
    (door, service)
}

/// Waits until the counts are as wanted, without a fixed wait.
fn wait_for(door: &Door, what: &str, wanted: impl Fn(&DoorStats) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(&door.stats()) {
        assert!(Instant::now() < deadline, "{what} did not come: {:?}", door.stats());
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// The door still answers a new client, at once.
fn assert_alive(door: &Door) {
    let asked = Instant::now();
    let answer = Client::connect(door.local_addr()).get("/hello");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hello"[..]));
    assert!(asked.elapsed() < Duration::from_secs(5), "an honest client waited {:?}", asked.elapsed());
    assert_eq!(door.stats().panics, 0);
}
