//! A service that echoes, blocks, panics and answers at length, as the path says.

use std::sync::{Arc, Condvar, Mutex};

use peernet_door::{Answer, Head, Reply, Request, Respond, Service};

use super::PATIENCE;

/// Body bytes of `/big`.
pub(crate) const BIG_BYTES: usize = 20 * 1024 * 1024;
/// The largest body taken.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Requests to `/gate` wait in it until it is opened.
#[derive(Default)]
pub(crate) struct TestService {
    gate: Mutex<Gate>,
    changed: Condvar,
    /// Where replies to `/later` go once the test says so.
    later: Arc<Mutex<Vec<Respond>>>,
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

    /// How many requests wait for [`TestService::reply_later`].
    pub(crate) fn later_count(&self) -> usize {
        self.later.lock().unwrap().len()
    }

    /// Replies to every request to `/later` that has come, on this thread.
    pub(crate) fn reply_later(&self) {
        let waiting = std::mem::take(&mut *self.later.lock().unwrap());
        waiting.into_iter().for_each(|respond| respond(Reply::text(200, "later")));
    }

    fn pass_gate(&self) {
        peernet_threads::about_to_block();
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
        if request.head.path != "/later" {
            return Answer::Now(self.handle(&request));
        }
        let later = Arc::clone(&self.later);
        Answer::Later(Box::new(move |respond| later.lock().unwrap().push(respond)))
    }
}

impl TestService {
    fn handle(&self, request: &Request) -> Reply {
        match request.head.path.as_str() {
            "/echo" => Reply { body: request.body.clone(), ..Reply::text(200, "") },
            "/head" => Reply::text(200, format!("{:?}", request.head)),
            "/big" => Reply { body: vec![b'x'; BIG_BYTES], ..Reply::text(200, "") },
            "/nothing" => Reply::text(204, ""),
            "/panic" => panic!("asked to"),
            "/gate" => {
                self.pass_gate();
                Reply::text(200, "passed")
            }
            _ => Reply::text(200, "hello"),
        }
    }
}
