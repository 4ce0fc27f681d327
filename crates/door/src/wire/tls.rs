//! TLS: a rustls session whose records travel over a [`TcpWire`], under the deadline of that wire.

use std::io::{self, Read, Write};
use std::time::Instant;

use rustls::ServerConnection;

use super::{TcpWire, Wire};

/// An encrypted connection. The first read drives its handshake.
pub(crate) struct TlsWire {
    tcp: TcpWire,
    session: ServerConnection,
    /// The last read filled its buffer, so more decrypted bytes may be ready.
    more: bool,
}

/// The socket as rustls uses it without waiting.
struct Now<'a>(&'a mut TcpWire);

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_now(buffer)
    }
}

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_now(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsWire {
    pub(super) fn new(tcp: TcpWire, session: ServerConnection) -> Self {
        Self { tcp, session, more: false }
    }

    /// Reads decrypted bytes; calls `receive` until there are some.
    fn read_by(
        &mut self,
        buffer: &mut [u8],
        receive: impl Fn(&mut ServerConnection, &mut TcpWire) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match self.decrypted(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            let came = receive(&mut self.session, &mut self.tcp);
            self.digest(came)?;
        }
    }

    /// Reads bytes that are decrypted already; `WouldBlock` if there are none. A connection that ends without a
    /// close_notify counts as ended in order, because every request states its length.
    fn decrypted(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.session.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        };
        self.more = read.as_ref().is_ok_and(|count| *count == buffer.len());
        read
    }

    /// Feeds the received bytes to the session. A violation of the protocol is answered with its alert and ends the
    /// connection.
    fn digest(&mut self, came: io::Result<usize>) -> io::Result<()> {
        came?;
        let processed = self.session.process_new_packets();
        // The handshake's messages and alerts are a few kilobytes, which an idle socket takes at once.
        self.flush_now()?;
        processed.map(drop).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn flush_now(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Now(&mut self.tcp)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                written => written.map(drop)?,
            }
        }
        Ok(())
    }
}

impl Wire for TlsWire {
    fn set_deadline(&mut self, deadline: Instant) {
        self.tcp.set_deadline(deadline);
    }

    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_by(buffer, |session, tcp| session.read_tls(&mut Now(tcp)))
    }

    fn is_drained(&self) -> bool {
        !self.more && self.tcp.is_drained()
    }

    fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush_now()?;
        if self.session.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.session.writer().write(bytes)?;
        self.flush_now()?;
        Ok(taken)
    }

    fn is_flushed(&self) -> bool {
        !self.session.wants_write()
    }

    fn finish_sending(&mut self) {
        self.session.send_close_notify();
        // A failure means that the client is gone.
        let _ = self.flush_now();
        self.tcp.finish_sending();
    }
}

impl Read for TlsWire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_by(buffer, |session, tcp| session.read_tls(tcp))
    }
}

impl Write for TlsWire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        self.session.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.tcp)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}
