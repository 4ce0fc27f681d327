//! Readiness events: one epoll that all workers wait on. Each event goes to one of them.
//!
//! The epoll is edge-triggered (`EPOLLET`): a connection is reported once for everything new that arrives, so a request needs no
//! system call to re-arm it. Bytes that are already there are not reported again, so a worker must read until nothing is left.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, epoll, eventfd};

/// The key of the event that ends all waiting.
const STOP: u64 = u64::MAX;

/// A readiness event of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// The connection's slot.
    pub(crate) key: usize,
    /// The client sends nothing more; what it sent before may still be unread.
    pub(crate) ended: bool,
}

/// The sockets of all connections that wait for their client.
pub(crate) struct Poller {
    epoll: OwnedFd,
    /// Readable for ever once waiting is to end.
    stop: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        Ok(Self { epoll, stop })
    }

    /// Registers `stream`. Reports an event whenever something new arrives or it ends, and at once if that has happened already.
    pub(crate) fn add(&self, stream: impl AsFd, key: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, stream, epoll::EventData::new_u64(key as u64), events())?)
    }

    /// Requests one more event, as soon as `stream` can take a byte: at once unless its send buffer is full.
    pub(crate) fn wake(&self, stream: impl AsFd, key: usize) -> io::Result<()> {
        let flags = events() | epoll::EventFlags::OUT;
        Ok(epoll::modify(&self.epoll, stream, epoll::EventData::new_u64(key as u64), flags)?)
    }

    /// Waits for an event; `None` once waiting is to end.
    pub(crate) fn wait(&self) -> Option<Event> {
        let mut event =
            [const { epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(STOP) } }];
        loop {
            match epoll::wait(&self.epoll, &mut event, None) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => {
                    let [epoll::Event { flags, data }] = event;
                    let ended = flags.intersects(ended());
                    return Some(data.u64()).filter(|key| *key != STOP).map(|key| Event { key: key as usize, ended });
                }
                // The epoll is open and ours, so this cannot happen. Ending the worker is better than a busy loop.
                Err(_) => return None,
            }
        }
    }

    /// Ends all waiting, now and later.
    pub(crate) fn end(&self) {
        // A write fails only if the counter is full, and then the eventfd is readable already.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
    }
}

fn events() -> epoll::EventFlags {
    epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET
}

fn ended() -> epoll::EventFlags {
    epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn next(poller: &Poller) -> (usize, bool) {
        let event = poller.wait().expect("the poller was not ended");
        (event.key, event.ended)
    }

    #[test]
    fn arrivals_and_ends_are_reported_with_their_key() {
        let poller = Poller::new().unwrap();
        let (mut client, server) = UnixStream::pair().unwrap();
        poller.add(&server, 7).unwrap();
        client.write_all(b"x").unwrap();
        assert_eq!(next(&poller), (7, false));
        drop(client);
        assert_eq!(next(&poller), (7, true));
    }

    #[test]
    fn a_wake_reports_a_connection_with_nothing_new() {
        let poller = Poller::new().unwrap();
        let (_client, server) = UnixStream::pair().unwrap();
        poller.add(&server, 3).unwrap();
        poller.wake(&server, 3).unwrap();
        assert_eq!(next(&poller), (3, false));
    }

    #[test]
    fn the_end_is_reported_to_every_waiting_worker() {
        let poller = Poller::new().unwrap();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| poller.wait().is_none())).collect();
            poller.end();
            assert!(waiting.into_iter().all(|worker| worker.join().unwrap()));
        });
        assert!(poller.wait().is_none());
    }
}
