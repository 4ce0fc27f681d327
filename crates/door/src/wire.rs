//! A connection's bytes under total deadlines: what the rest of the door reads from and writes to.

mod line;
mod tls;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags};

use crate::admission::Link;
pub(crate) use line::Line;

/// How much later than a deadline a read or write may end. It lets a socket's timer be set once instead of before
/// every call, which would be a third of the system calls of a small request.
const SLACK: Duration = Duration::from_millis(50);

/// A stream whose reads and writes fail with `TimedOut` once the deadline is over, however many of them there are.
pub(crate) trait Wire: Read + Write {
    /// The moment by which whatever is read or written next must be done.
    fn set_deadline(&mut self, deadline: Instant);

    /// Reads what is there; `WouldBlock` where nothing is; `Unsupported` where the client speaks as nobody may here.
    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Whether nothing was left to be read when it was read last.
    fn is_drained(&self) -> bool;

    /// Writes what can be taken at once; `WouldBlock` where that is nothing.
    fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether everything written is on its way; what is not goes with `flush`.
    fn is_flushed(&self) -> bool;

    /// Tells the client that nothing more will come.
    fn finish_sending(&mut self);
}

/// Plain TCP.
pub(crate) struct TcpWire {
    link: Arc<Link>,
    deadline: Instant,
    read_timer: Duration,
    write_timer: Duration,
    drained: bool,
}

impl TcpWire {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        let [read_timer, write_timer] = [Duration::ZERO; 2];
        Self { link, deadline: Instant::now(), read_timer, write_timer, drained: false }
    }

    /// What is left until the deadline.
    fn left(&self) -> io::Result<Duration> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

impl Wire for TcpWire {
    fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = rustix::net::recv(&self.link.stream, &mut *buffer, RecvFlags::DONTWAIT);
        self.drained = !received.is_ok_and(|(count, _)| count == buffer.len());
        Ok(received?.0)
    }

    fn is_drained(&self) -> bool {
        self.drained
    }

    fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&self.link.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    fn is_flushed(&self) -> bool {
        true
    }

    fn finish_sending(&mut self) {
        // It fails where the client is gone, which is as good.
        let _ = self.link.stream.shutdown(Shutdown::Write);
    }
}

impl Read for TcpWire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.left()?;
            if !still_fits(self.read_timer, left) {
                self.link.stream.set_read_timeout(Some(left))?;
                self.read_timer = left;
            }
            match (&self.link.stream).read(buffer) {
                Err(error) if is_passing(&error) => {}
                done => {
                    self.drained = !done.as_ref().is_ok_and(|count| *count == buffer.len());
                    return done;
                }
            }
        }
    }
}

impl Write for TcpWire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let left = self.left()?;
            if !still_fits(self.write_timer, left) {
                self.link.stream.set_write_timeout(Some(left))?;
                self.write_timer = left;
            }
            match (&self.link.stream).write(bytes) {
                Err(error) if is_passing(&error) => {}
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a timer that is set already ends neither after the deadline nor so early that it would wake us for nothing.
fn still_fits(timer: Duration, left: Duration) -> bool {
    timer <= left + SLACK && timer >= left / 2
}

/// Whether the deadline decides about going on: the socket's own timer ran out, or a signal came.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
