//! Which connections have something to say: an epoll that any number of threads ask, each event given to one of them.
//!
//! A connection is armed for one event at a time (`EPOLLONESHOT`), so that while a thread works on it no other is told of it.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, epoll, eventfd};

/// The key of the event that ends all waiting.
const STOP: u64 = u64::MAX;

/// The sockets of all connections that wait for their client.
pub(super) struct Poller {
    epoll: OwnedFd,
    /// Readable for ever once waiting is to end.
    stop: OwnedFd,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        Ok(Self { epoll, stop })
    }

    /// Has one event told at once, or nearly: `stream` can take a byte.
    pub(super) fn rearm_for_now(&self, stream: &TcpStream, key: usize) -> io::Result<()> {
        let flags = once() | epoll::EventFlags::OUT;
        Ok(epoll::modify(&self.epoll, stream, epoll::EventData::new_u64(key as u64), flags)?)
    }

    /// Has one event told when `stream`, seen for the first time, can be read or has ended.
    pub(super) fn add(&self, stream: &TcpStream, key: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, stream, epoll::EventData::new_u64(key as u64), once())?)
    }

    /// The same again.
    pub(super) fn rearm(&self, stream: &TcpStream, key: usize) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, stream, epoll::EventData::new_u64(key as u64), once())?)
    }

    /// Waits for an event; its connection's key, or `None` once waiting is to end.
    pub(super) fn wait(&self) -> Option<usize> {
        let mut event =
            [const { epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(STOP) } }];
        loop {
            match epoll::wait(&self.epoll, &mut event, None) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Some(event[0].data.u64()).filter(|key| *key != STOP).map(|key| key as usize),
                // The epoll is ours and open: this cannot be. Ending is better than turning in circles.
                Err(_) => return None,
            }
        }
    }

    /// Ends all waiting, now and later.
    pub(super) fn end(&self) {
        // It fails only where the counter is full, and then it is readable already.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
    }
}

fn once() -> epoll::EventFlags {
    epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ONESHOT
}
