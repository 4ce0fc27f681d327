//! A door with the three kinds of replies. Prints its address, and drains at the end of its input.
//!
//! ```text
//! cargo run -p peernet-door --example hello
//! curl http://ADDRESS/
//! curl http://ADDRESS/deferred
//! curl -N http://ADDRESS/events
//! ```
//!
//! It also shows the cost of a request without any work: `wrk -t1 -c64 -d3 http://ADDRESS/` against a release build.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded, tick};
use peernet_door::{Answer, Door, DoorLimits, Head, PushError, Reply, Request, Responder, Service, StreamSender};
use peernet_threads::{Group, lock};

/// Deferred replies that wait for their thread; more are answered 503.
const JOBS_MAX: usize = 1_024;

/// The service: the handlers run on the door's workers.
struct Hello {
    jobs: Sender<Responder>,
    streams: Arc<Mutex<Vec<StreamSender>>>,
}

impl Service for Hello {
    fn body_bytes_max(&self, _: &Head) -> usize {
        0
    }

    fn answer(&self, request: Request) -> Answer {
        match request.head.path.as_str() {
            "/deferred" => {
                let (responder, answer) = Answer::deferred();
                match self.jobs.try_send(responder) {
                    Ok(()) => answer,
                    Err(_) => Answer::Now(Reply::text(503, "busy")),
                }
            }
            "/events" => {
                let head = Reply { content_type: "text/event-stream", ..Reply::text(200, "") };
                let (sender, answer) = Answer::streamed(head.with_header("Cache-Control", "no-store"));
                lock(&self.streams).push(sender);
                answer
            }
            _ => Answer::Now(Reply::text(200, "Hello world")),
        }
    }
}

/// Sends an event to every stream, once a second. A slow client misses events, and a client that has left is forgotten.
fn push_events(streams: &Mutex<Vec<StreamSender>>, stopped: &crossbeam_channel::Receiver<()>) {
    let clock = tick(Duration::from_secs(1));
    for number in 1_u64.. {
        crossbeam_channel::select! {
            recv(clock) -> _ => {}
            recv(stopped) -> _ => return,
        }
        let event = format!("data: {number}\n\n");
        lock(streams).retain(|stream| stream.push(event.as_bytes()) != Err(PushError::Closed));
    }
}

fn main() -> io::Result<()> {
    let streams = Arc::<Mutex<Vec<StreamSender>>>::default();
    let (jobs, waiting) = bounded::<Responder>(JOBS_MAX);
    let (stop, stopped) = bounded(0);
    let mut threads = Group::default();
    threads.spawn("deferred", move || {
        for responder in waiting {
            responder.reply(Reply::text(200, "from another thread"));
        }
    })?;
    let pushed = Arc::clone(&streams);
    threads.spawn("events", move || push_events(&pushed, &stopped))?;

    let limits = DoorLimits { connections_per_address_max: 4_096, ..DoorLimits::default() };
    let door = Door::bind("127.0.0.1:0", limits, Arc::new(Hello { jobs, streams }))?;
    println!("{}", door.local_addr());
    io::stdin().read_to_end(&mut Vec::new())?;
    println!("{:?}", door.stats());
    println!("{:?}", door.drain(Duration::from_secs(5)));
    drop(stop);
    threads.join(Duration::from_secs(5)).map_err(io::Error::other)
}
