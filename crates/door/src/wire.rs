//! A connection's bytes under total deadlines: the rest of the door reads from a [`Wire`] and writes to it.

mod line;
mod tls;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peernet_threads::Blocking;
use rustix::net::{RecvFlags, SendFlags};

use crate::link::Link;
pub(crate) use line::Line;

/// The time by which a read or write may exceed its deadline. So a socket's timer is set once and not before every
/// call, which would be a third of the system calls of a small request.
const SLACK: Duration = Duration::from_millis(50);

/// A stream whose waiting reads and writes fail with `TimedOut` once the deadline is over, however many of them there
/// are.
pub(crate) trait Wire: Read + Write {
    /// Sets the deadline of the reads and writes that follow.
    fn set_deadline(&mut self, deadline: Instant);

    /// Reads the available bytes. Fails with `WouldBlock` if nothing is, and with `Unsupported` if the client speaks
    /// plaintext where only TLS is allowed.
    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Returns whether the last read left nothing to read.
    fn is_drained(&self) -> bool;

    /// Writes what the socket takes at once. Fails with `WouldBlock` if that is nothing.
    fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Returns whether the socket has taken all written bytes.
    fn is_flushed(&self) -> bool;

    /// Tells the client that nothing more will come.
    fn finish_sending(&mut self);

    /// Reads, and waits until the deadline for something to read.
    fn read_wait(&mut self, _: &Blocking, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    /// Writes all of `bytes`, and waits until the deadline for the client to take them.
    fn write_rest(&mut self, _: &Blocking, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }
}

/// A plaintext connection.
pub(crate) struct TcpWire {
    link: Arc<Link>,
    deadline: Instant,
    read_timer: Duration,
    write_timer: Duration,
    drained: bool,
}

impl TcpWire {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link, deadline: Instant::now(), read_timer: Duration::ZERO, write_timer: Duration::ZERO, drained: false }
    }

    /// The time that is left until the deadline.
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
        self.link.end(Shutdown::Write);
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
            match rustix::net::send(&self.link.stream, bytes, SendFlags::NOSIGNAL).map_err(io::Error::from) {
                Err(error) if is_passing(&error) => {}
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns whether a timer that is set already ends neither after the deadline nor so early that it would wake the
/// thread for nothing.
fn still_fits(timer: Duration, left: Duration) -> bool {
    timer <= left + SLACK && timer >= left / 2
}

/// Returns whether the deadline decides on another try: the socket's own timer ran out, or a signal arrived.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
