//! Deferred replies: the handler returns at once, and any thread delivers the reply when it is ready.
//!
//! While the reply is pending, the connection waits here and costs no thread. The [`Responder`] and the door may arrive
//! in either order: a reply that comes before the door has set the connection aside is kept for it.

use std::sync::{Arc, Mutex};

use peernet_threads::lock;

use crate::Reply;

/// The door's action on the reply; `None` if the responder was dropped without one.
type Continuation = Box<dyn FnOnce(Option<Reply>) + Send>;

/// Delivers one deferred reply.
///
/// A responder that is dropped without [`Responder::reply`] has the client answered 500, so no request waits for ever.
#[derive(Debug)]
pub struct Responder {
    /// `None` once the reply was delivered.
    pending: Option<Arc<Pending>>,
}

/// The door's end of a deferred reply.
#[derive(Debug)]
pub struct Deferred {
    pending: Arc<Pending>,
}

/// The state that the responder and the door share.
#[derive(Default)]
struct Pending {
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    /// Neither the reply nor the connection is here.
    #[default]
    Empty,
    /// The reply came first; `None` where the responder was dropped.
    Replied(Option<Reply>),
    /// The connection came first.
    Suspended(Continuation),
    /// Both came, and the connection went on.
    Done,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &*lock(&self.state) {
            State::Empty => "empty",
            State::Replied(_) => "replied",
            State::Suspended(_) => "suspended",
            State::Done => "done",
        };
        f.write_str(state)
    }
}

/// Both ends of a deferred reply.
pub(crate) fn pair() -> (Responder, Deferred) {
    let pending = Arc::new(Pending::default());
    (Responder { pending: Some(Arc::clone(&pending)) }, Deferred { pending })
}

impl Responder {
    /// Delivers the reply, on any thread, also from the handler of another request. Never waits for the client: a reply
    /// that the socket does not take at once is cut, so a deferred reply is smaller than a socket's buffer.
    pub fn reply(mut self, reply: Reply) {
        if let Some(pending) = self.pending.take() {
            pending.deliver(Some(reply));
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.deliver(None);
        }
    }
}

impl Deferred {
    /// Has `continuation` run with the reply: at once if the reply is here, else on the thread that delivers it.
    pub(crate) fn then(self, continuation: impl FnOnce(Option<Reply>) + Send + 'static) {
        let mut state = lock(&self.pending.state);
        match std::mem::replace(&mut *state, State::Done) {
            State::Replied(reply) => {
                drop(state);
                continuation(reply);
            }
            _ => *state = State::Suspended(Box::new(continuation)),
        }
    }
}

impl Pending {
    fn deliver(&self, reply: Option<Reply>) {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Done) {
            State::Suspended(continuation) => {
                drop(state);
                continuation(reply);
            }
            _ => *state = State::Replied(reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// The statuses that the continuation gets; 0 for none.
    fn statuses(deferred: Deferred) -> Receiver<u16> {
        let (sender, statuses) = channel();
        deferred.then(move |reply| sender.send(reply.map_or(0, |reply| reply.status)).expect("the test listens"));
        statuses
    }

    #[test]
    fn reply_and_connection_meet_in_either_order() {
        let (responder, deferred) = pair();
        responder.reply(Reply::text(201, "early"));
        assert_eq!(statuses(deferred).try_recv(), Ok(201));

        let (responder, deferred) = pair();
        let late = statuses(deferred);
        assert!(late.try_recv().is_err());
        std::thread::scope(|scope| scope.spawn(|| responder.reply(Reply::text(202, "late"))).join())
            .expect("it replies");
        assert_eq!(late.try_recv(), Ok(202));
    }

    #[test]
    fn a_dropped_responder_is_noticed_in_either_order() {
        let (responder, deferred) = pair();
        drop(responder);
        assert_eq!(statuses(deferred).try_recv(), Ok(0));

        let (responder, deferred) = pair();
        let statuses = statuses(deferred);
        drop(responder);
        assert_eq!(statuses.try_iter().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_reply_to_a_request_that_is_gone_goes_nowhere() {
        let (responder, deferred) = pair();
        drop(deferred);
        responder.reply(Reply::text(200, "nobody"));
    }
}
