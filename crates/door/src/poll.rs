//! Which connections have something to say: an epoll that any number of threads ask, each event given to one of them.
//!
//! A connection is told of once for everything new that comes (`EPOLLET`), so that a request costs no call to arm it again. What is
//! there already is not told a second time: whoever reads must read until nothing is left.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, epoll, eventfd};

/// The key of the event that ends all waiting.
const STOP: u64 = u64::MAX;

/// Something came on a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// Which connection.
    pub(crate) key: usize,
    /// Nothing will come any more: its end follows what is there to be read.
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

    /// Has an event told whenever something new comes on `stream`, or it ends; at once where that has happened already.
    pub(crate) fn add(&self, stream: &TcpStream, key: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, stream, epoll::EventData::new_u64(key as u64), events())?)
    }

    /// Has an event told at once, or nearly: `stream` can take a byte.
    pub(crate) fn call(&self, stream: &TcpStream, key: usize) -> io::Result<()> {
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
                // The epoll is ours and open: this cannot be. Ending is better than turning in circles.
                Err(_) => return None,
            }
        }
    }

    /// Ends all waiting, now and later.
    pub(crate) fn end(&self) {
        // It fails only where the counter is full, and then it is readable already.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
    }
}

fn events() -> epoll::EventFlags {
    epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET
}

fn ended() -> epoll::EventFlags {
    epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR
}
