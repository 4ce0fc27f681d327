//! TLS: a rustls session whose records travel over a [`TcpWire`], and whose deadline is that one's.

use std::io::{self, Read, Write};
use std::time::Instant;

use rustls::ServerConnection;

use super::{TcpWire, Wire};

/// An encrypted connection; its handshake is done by whatever is read first.
pub(in crate::door) struct TlsWire {
    tcp: TcpWire,
    session: ServerConnection,
    /// The last read filled its buffer: there may be more that has been decrypted already.
    more: bool,
}

/// The socket as rustls uses it where nobody waits.
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

    /// What has been decrypted, for which `receive` is called until there is something.
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

    /// What has been decrypted; `WouldBlock` where that is nothing. A client that ends without a last word has ended all the same: every
    /// request says how long it is.
    fn decrypted(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.session.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        };
        self.more = read.as_ref().is_ok_and(|count| *count == buffer.len());
        read
    }

    /// Takes what came into the session. What breaks the protocol is answered as it says, and ends the connection.
    fn digest(&mut self, came: io::Result<usize>) -> io::Result<()> {
        came?;
        let processed = self.session.process_new_packets();
        // The handshake's answers and alerts are a few kilobytes, which an idle socket takes at once.
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
        // It fails where the client is gone, which is as good.
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
