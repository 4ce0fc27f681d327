//! The accept thread: no error ends it, and nothing a client does makes it wait.

use std::convert::Infallible;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockAddr, Socket};

use crate::RequestId;
use crate::admission::{Entry, TurnedAway};
use crate::connections::Connections;
use crate::door::Shared;
use crate::link::Link;
use crate::print::{Afterwards, print_head};
use crate::refusal::Refusal;

/// The pause after a failed accept. Without open files or memory, an immediate retry would burn a core.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// Accepts connections until the drain begins.
pub(crate) fn run(listener: &Socket, shared: &Shared, connections: &Arc<Connections>, stopped: &Receiver<Infallible>) {
    while !shared.draining() {
        match listener.accept() {
            // A connection accepted after the drain began is the drain's own wake-up call, or a client that came too
            // late.
            Ok(_) if shared.draining() => {}
            Ok((stream, remote)) => welcome(stream, &remote, shared, connections),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if shared.draining() => {}
            Err(_) => {
                shared.counters.accept_errors.add_one();
                if stopped.recv_timeout(ERROR_PAUSE) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        }
    }
}

fn welcome(stream: Socket, remote: &SockAddr, shared: &Shared, connections: &Arc<Connections>) {
    let remote = remote.as_socket().map(|remote| remote.ip());
    if remote.is_some() {
        // Without it, a reply of two segments waits 40 ms for a delayed acknowledgement. A failure means that the
        // client left.
        let _ = stream.set_tcp_nodelay(true);
    }
    let link = Arc::new(Link::new(stream, remote));
    match shared.admission.admit(&link) {
        Entry::In { id, gives_way } => {
            gives_way.iter().for_each(|link| turn_away(TurnedAway::Address, link, shared));
            connections.welcome(id, link);
        }
        Entry::Waits => {}
        Entry::Not(why) => turn_away(why, &link, shared),
    }
}

/// Turns away connections that have waited too long for a place, until [`end_waiting`].
pub(crate) fn watch_waiting(shared: &Shared) {
    shared.admission.watch_waiting(|link| turn_away(TurnedAway::Address, link, shared));
}

/// Ends [`watch_waiting`] and turns away the connections that still wait.
pub(crate) fn end_waiting(shared: &Shared) {
    let mut waiting = shared.admission.end_waiting();
    while let Some(link) = waiting.pop_first() {
        turn_away(TurnedAway::Address, &link, shared);
    }
}

/// Answers 503 as far as that is possible without waiting: into the empty send buffer of a new socket.
fn turn_away(why: TurnedAway, link: &Link, shared: &Shared) {
    match why {
        TurnedAway::Full => shared.counters.turned_away_full.add_one(),
        TurnedAway::Address => shared.counters.turned_away_address.add_one(),
    }
    let id = RequestId::fresh();
    let reply = shared.refusal_reply(Refusal::Busy, id, link.remote);
    let mut printed = Vec::new();
    print_head(&mut printed, &reply, &id, Afterwards::Closed);
    printed.extend_from_slice(&reply.body);
    let stream = &link.stream;
    let _ = rustix::net::send(stream, &printed, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    link.end(Shutdown::Write);
    // A request that has come already is read, because closing over unread bytes would reset the reply away.
    let _ = rustix::net::recv(stream, &mut [0_u8; 4096], RecvFlags::DONTWAIT);
}
