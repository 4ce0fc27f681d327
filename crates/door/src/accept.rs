//! The accept thread: no error ends it, and nothing a client does makes it wait.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::RequestId;
use crate::admission::{Entry, Link, TurnedAway};
use crate::connections::Connections;
use crate::door::Shared;
use crate::print::{Afterwards, print_head};
use crate::refusal::Refusal;

/// The accept thread's name.
const ACCEPT_NAME: &str = "door-accept";
/// The name of the thread that watches the clock for those who wait.
const WATCH_NAME: &str = "door-waiting";
/// How long a failed accept is left alone: out of open files or memory, trying at once again would burn a core.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn spawn(
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    stopped: Receiver<Infallible>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(ACCEPT_NAME.to_owned()).spawn(move || run(&listener, &shared, &connections, &stopped))
}

fn run(listener: &TcpListener, shared: &Shared, connections: &Connections, stopped: &Receiver<Infallible>) {
    while !shared.draining() {
        match listener.accept() {
            // What is accepted after the drain began is the drain's own wake-up call, or a client that came too late.
            Ok(_) if shared.draining() => {}
            Ok((stream, remote)) => welcome(stream, remote, shared, connections),
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

fn welcome(stream: TcpStream, remote: SocketAddr, shared: &Shared, connections: &Connections) {
    // Without it an answer of two segments waits 40 ms for a delayed acknowledgement; that it fails means the client left.
    let _ = stream.set_nodelay(true);
    let link = Arc::new(Link::new(stream, remote.ip()));
    match shared.admission.admit(&link) {
        Entry::In { id, gives_way } => {
            gives_way.iter().for_each(|link| turn_away_for(TurnedAway::Address, link, shared));
            connections.welcome(id, link);
        }
        Entry::Waits => {}
        Entry::Not(why) => turn_away_for(why, &link, shared),
    }
}

/// Starts the thread that turns away who has waited too long.
pub(crate) fn spawn_watch(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let watch = move || shared.admission.watch_waiting(|link| turn_away_for(TurnedAway::Address, link, &shared));
    thread::Builder::new().name(WATCH_NAME.to_owned()).spawn(watch)
}

/// Ends that thread, and turns away who still waits.
pub(crate) fn end_waiting(shared: &Shared, watch: JoinHandle<()>) {
    let mut waiting = shared.admission.end_waiting();
    while let Some(link) = waiting.first() {
        turn_away_for(TurnedAway::Address, &link, shared);
    }
    // It panics nowhere; if it did, nothing is left to clean up.
    let _ = watch.join();
}

fn turn_away_for(why: TurnedAway, link: &Link, shared: &Shared) {
    match why {
        TurnedAway::Full => shared.counters.turned_away_full.add_one(),
        TurnedAway::Address => shared.counters.turned_away_address.add_one(),
    }
    let id = RequestId::fresh();
    shared.service.refused(&Refusal::Busy.told(id, Some(link.remote)));
    turn_away(&link.stream, &id);
}

/// Says 503 as far as that is possible without waiting: into the empty send buffer of a new socket.
fn turn_away(mut stream: &TcpStream, id: &RequestId) {
    let reply = Refusal::Busy.reply(id);
    let mut answer = Vec::new();
    print_head(&mut answer, &reply, id, Afterwards::Closed);
    answer.extend_from_slice(&reply.body);
    if stream.set_nonblocking(true).is_ok() {
        // A request that has come already is taken out, because closing over unread bytes would reset the answer away.
        let _ = stream.write(&answer);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0; 4096]);
    }
}
