//! A service that echoes, blocks, panics and answers at length, as the path says.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};

use peernet_door::{Answer, Head, Refused, Reply, Request, Responder, Service, StreamSender};

use super::PATIENCE;

/// Body bytes of `/big`.
pub(crate) const BIG_BYTES: usize = 20 * 1024 * 1024;
/// Bytes that `/burst` pushes before it returns.
pub(crate) const BURST_BYTES: usize = 60_000;
/// The largest body taken.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Requests to `/gate` wait in it until it is opened.
#[derive(Default)]
pub(crate) struct TestService {
    gate: Mutex<Gate>,
    changed: Condvar,
    stream_begun: Condvar,
    /// The producers' ends of streams begun by requests to `/stream`.
    streams: Mutex<VecDeque<StreamSender>>,
    /// The responders of requests to `/later`.
    later: Mutex<Vec<Responder>>,
}

#[derive(Default)]
struct Gate {
    open: bool,
    waiting: usize,
}

impl TestService {
    pub(crate) fn open_gate(&self) {
        self.gate.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    /// Waits until `count` requests stand at the gate.
    pub(crate) fn wait_for_waiting(&self, count: usize) {
        let waited = self.changed.wait_timeout_while(self.gate.lock().unwrap(), PATIENCE, |gate| gate.waiting < count);
        assert!(!waited.unwrap().1.timed_out(), "fewer than {count} requests came to the gate");
    }

    /// Returns the number of requests that wait for [`TestService::reply_later`].
    pub(crate) fn later_count(&self) -> usize {
        self.later.lock().unwrap().len()
    }

    /// Replies to every request to `/later` that has come, on this thread.
    pub(crate) fn reply_later(&self) {
        let waiting = std::mem::take(&mut *self.later.lock().unwrap());
        waiting.into_iter().for_each(|responder| responder.reply(Reply::text(200, "later")));
    }

    /// Returns the producer's end of the next stream. Waits for its request.
    pub(crate) fn next_stream(&self) -> StreamSender {
        let streams = self.streams.lock().unwrap();
        let waited = self.stream_begun.wait_timeout_while(streams, PATIENCE, |streams| streams.is_empty());
        waited.unwrap().0.pop_front().expect("a request for a stream")
    }

    fn pass_gate(&self) {
        let _blocking = peernet_threads::Blocking::declare();
        let mut gate = self.gate.lock().unwrap();
        gate.waiting += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(gate, PATIENCE, |gate| !gate.open);
        assert!(!waited.unwrap().1.timed_out(), "nobody opened the gate");
    }
}

impl Service for TestService {
    fn body_bytes_max(&self, head: &Head) -> usize {
        if head.path == "/tiny" { 4 } else { BODY_BYTES_MAX }
    }

    fn answer(&self, request: Request) -> Answer {
        if request.head.path == "/stream" {
            let (sender, answer) = Answer::streamed(Reply::text(200, ""));
            self.streams.lock().unwrap().push_back(sender);
            self.stream_begun.notify_all();
            return answer;
        }
        if request.head.path == "/burst" {
            let (sender, answer) = Answer::streamed(Reply::text(200, ""));
            sender.push(&[b'Y'; BURST_BYTES]).unwrap();
            sender.finish();
            return answer;
        }
        if request.head.path != "/later" {
            return Answer::Now(self.handle(&request));
        }
        let (responder, answer) = Answer::deferred();
        self.later.lock().unwrap().push(responder);
        answer
    }

    fn refused(&self, refused: &Refused) -> Reply {
        let body = serde_json::json!({ "error": refused.message, "code": refused.code });
        Reply::json(refused.status, &body)
    }
}

impl TestService {
    fn handle(&self, request: &Request) -> Reply {
        match request.head.path.as_str() {
            "/echo" => Reply { body: request.body.clone(), ..Reply::text(200, "") },
            "/head" => Reply::text(200, format!("{:?}", request.head)),
            "/big" => Reply { body: vec![b'x'; BIG_BYTES], ..Reply::text(200, "") },
            "/nothing" => Reply::text(204, ""),
            "/release" => {
                self.reply_later();
                Reply::text(200, "released")
            }
            "/abandon" => {
                let abandoned = std::mem::take(&mut *self.later.lock().unwrap());
                drop(abandoned);
                Reply::text(200, "abandoned")
            }
            "/panic" => panic!("asked to"),
            "/gate" => {
                self.pass_gate();
                Reply::text(200, "passed")
            }
            _ => Reply::text(200, "hello"),
        }
    }
}
