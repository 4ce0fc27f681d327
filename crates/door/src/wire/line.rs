//! A connection's wire: the client's first byte decides whether it is TLS or plaintext.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use rustix::net::RecvFlags;
use rustls::ServerConnection;

use super::tls::TlsWire;
use super::{TcpWire, Wire};
use crate::Security;
use crate::link::Link;

/// The type of a TLS record that begins a handshake (RFC 8446, section 5.1); no HTTP request begins with it.
const HANDSHAKE: u8 = 22;

/// TLS, plaintext, or not decided yet.
pub(crate) enum Line {
    /// No byte has arrived yet.
    New(TcpWire, Security),
    Plain(TcpWire),
    Tls(Box<TlsWire>),
}

impl Line {
    pub(crate) fn new(link: Arc<Link>, security: &Security) -> Self {
        let wire = TcpWire::new(link);
        if security.tls.is_some() { Self::New(wire, security.clone()) } else { Self::Plain(wire) }
    }

    fn wire(&self) -> &dyn Wire {
        match self {
            Self::New(wire, _) | Self::Plain(wire) => wire,
            Self::Tls(wire) => &**wire,
        }
    }

    fn wire_mut(&mut self) -> &mut dyn Wire {
        match self {
            Self::New(wire, _) | Self::Plain(wire) => wire,
            Self::Tls(wire) => &mut **wire,
        }
    }

    /// Decides by the first byte, if that has not been done.
    fn settle(&mut self) -> io::Result<()> {
        let Self::New(wire, security) = self else { return Ok(()) };
        let mut first = [0];
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        let (count, _) =
            rustix::net::recv(&wire.link.stream, &mut first, flags).inspect_err(|_| wire.drained = true)?;
        let wire = TcpWire::new(Arc::clone(&wire.link));
        *self = match (&security.tls, count, first) {
            (Some(config), 1, [HANDSHAKE]) => {
                let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Self::Tls(Box::new(TlsWire::new(wire, session)))
            }
            // The client has left without sending anything.
            (_, 0, _) => Self::Plain(wire),
            _ if security.plaintext => Self::Plain(wire),
            _ => return Err(self.unsupported(wire)),
        };
        Ok(())
    }

    /// Discards what the client sent, because closing over unread bytes would reset the reply away.
    fn unsupported(&mut self, mut wire: TcpWire) -> io::Error {
        let _ = wire.read_now(&mut [0; 4096]);
        *self = Self::Plain(wire);
        io::ErrorKind::Unsupported.into()
    }
}

impl Wire for Line {
    fn set_deadline(&mut self, deadline: Instant) {
        self.wire_mut().set_deadline(deadline);
    }

    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.settle()?;
        self.wire_mut().read_now(buffer)
    }

    fn is_drained(&self) -> bool {
        self.wire().is_drained()
    }

    fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire_mut().write_now(bytes)
    }

    fn is_flushed(&self) -> bool {
        self.wire().is_flushed()
    }

    fn finish_sending(&mut self) {
        self.wire_mut().finish_sending();
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wire_mut().read(buffer)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire_mut().flush()
    }
}
