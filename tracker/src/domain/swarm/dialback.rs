//! The thread "dialback": checks whether version 1 announcers accept connections at the address that they registered.
//!
//! Version 1 peers never renew an announce and never withdraw one, so lookups learn only from this thread that one is
//! gone. It opens a connection, sends nothing, and closes it. It dials only a `host:port` that registration has
//! validated.

use std::collections::VecDeque;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::domain::swarm::{Swarm, V1Address};
use crate::ops::log;

/// The most announcers that wait for their first dial. Others wait for the next round, and count as reachable until
/// then.
const QUEUED_MAX: usize = 1_024;
/// The time limit of one connection attempt; at most [`ADDRESSES_MAX`] addresses of a name are tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 2;
/// The time between two rounds, in which every announcer is dialled.
const ROUND_EVERY: Duration = Duration::from_secs(180);

/// The sending end, for request handlers.
#[derive(Debug, Clone)]
pub struct Handle {
    queue: Option<Sender<Arc<V1Address>>>,
}

/// The receiving end, for [`run`].
#[derive(Debug)]
pub struct Inbox {
    queue: Receiver<Arc<V1Address>>,
    round_every: Duration,
}

/// Makes the two ends of the queue. A handle that is not `enabled` does nothing, and then no thread is needed.
pub fn channel(enabled: bool) -> (Handle, Inbox) {
    channel_with(enabled, ROUND_EVERY)
}

/// Like [`channel`], with another time between rounds.
pub fn channel_with(enabled: bool, round_every: Duration) -> (Handle, Inbox) {
    let (sender, queue) = bounded(QUEUED_MAX);
    (Handle { queue: enabled.then_some(sender) }, Inbox { queue, round_every })
}

impl Handle {
    /// Asks for a dial of this announcer. If the queue is full, the next round dials it.
    pub fn check(&self, address: &Arc<V1Address>) {
        if let Some(queue) = &self.queue {
            let _full = queue.try_send(Arc::clone(address));
        }
    }
}

/// Runs until `stop` is disconnected.
pub fn run(swarm: &Swarm, inbox: &Inbox, stop: &Receiver<()>) {
    let mut round: VecDeque<Arc<V1Address>> = VecDeque::new();
    let mut round_at = Instant::now() + inbox.round_every;
    loop {
        if Instant::now() >= round_at {
            round_at = Instant::now() + inbox.round_every;
            round = swarm.v1_addresses().into_iter().map(|(_, address)| address).collect();
        }
        let wait = if round.is_empty() { round_at.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
        select! {
            recv(stop) -> _ => return,
            recv(inbox.queue) -> address => match address {
                Ok(address) => dial(&address),
                Err(_) => return,
            },
            default(wait) => round.pop_front().into_iter().for_each(|address| dial(&address)),
        }
    }
}

fn dial(address: &V1Address) {
    let answers = answers(address.text());
    if answers != address.is_reachable() {
        log::info(
            "dialback",
            if answers { "answers again" } else { "does not answer" },
            &[("address", address.text())],
        );
    }
    address.set_reachable(answers);
}

fn answers(address: &str) -> bool {
    let Ok(resolved) = address.to_socket_addrs() else { return false };
    resolved.take(ADDRESSES_MAX).any(|address| TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use peernet_engine::candidate::Candidate;

    use super::*;
    use crate::domain::swarm::Limits;

    const WAIT_MAX: Duration = Duration::from_secs(30);

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").expect("a free port")
    }

    fn address_of(listener: &TcpListener) -> Arc<V1Address> {
        let address = listener.local_addr().expect("bound").to_string();
        Arc::new(V1Address::new(Candidate::host(address).expect("an address")))
    }

    #[test]
    fn queued_announcers_are_dialled_before_the_thread_ends() {
        let open = listener();
        let answering = address_of(&open);
        let closed = listener();
        let silent = address_of(&closed);
        drop(closed);
        answering.set_reachable(false);
        let (handle, inbox) = channel(true);
        handle.check(&answering);
        handle.check(&silent);
        drop(handle);
        let (_stop, stopped) = bounded(0);
        run(&Swarm::new(Limits::default()), &inbox, &stopped);
        assert!(answering.is_reachable());
        assert!(!silent.is_reachable());
    }

    #[test]
    fn a_name_that_does_not_resolve_is_unreachable() {
        let address = V1Address::new(Candidate::host("name.invalid:1").expect("an address"));
        dial(&address);
        assert!(!address.is_reachable());
    }

    #[test]
    fn a_full_queue_drops_the_request() {
        let (handle, inbox) = channel(true);
        let open = listener();
        let address = address_of(&open);
        (0..=QUEUED_MAX).for_each(|_| handle.check(&address));
        assert_eq!(inbox.queue.len(), QUEUED_MAX);
    }

    #[test]
    fn a_stopped_thread_ends_within_its_round() {
        let (_handle, inbox) = channel_with(true, Duration::from_secs(3_600));
        let (stop, stopped) = bounded(0);
        let (ended_sender, ended) = bounded(1);
        let thread = std::thread::spawn(move || {
            run(&Swarm::new(Limits::default()), &inbox, &stopped);
            let _received = ended_sender.send(());
        });
        drop(stop);
        assert_eq!(ended.recv_timeout(WAIT_MAX), Ok(()));
        thread.join().expect("ends");
    }
}
