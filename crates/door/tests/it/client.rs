//! A client that sends exactly the bytes it is told to, and reads answers strictly.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::PATIENCE;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The stable word of an error's body.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert!(!body["error"].as_str().unwrap().is_empty());
        body["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A connection and the bytes that it has received.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).unwrap())
    }

    /// Connects from a loopback address of its own.
    pub(crate) fn connect_from(source: IpAddr, addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&addr.into()).unwrap();
        Self::over(socket.into())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::on(stream)
    }

    pub(crate) fn finish_sending(&self) {
        // The door may have ended the connection already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset instead of a farewell.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Returns whether the door ends the connection within `wait`.
    pub(crate) fn closes_within(&mut self, wait: Duration) -> bool {
        self.stream.set_read_timeout(Some(wait)).unwrap();
        let ended = match self.stream.read(&mut [0; 1024]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        };
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        ended
    }
}

impl<S: Read + Write> Client<S> {
    /// Wraps a stream that is connected already.
    pub(crate) fn on(stream: S) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends where the door may have closed already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(get(path));
        self.answer()
    }

    /// Sends the bytes and reads one answer.
    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes);
        self.answer()
    }

    /// Reads one answer, with a body.
    pub(crate) fn answer(&mut self) -> Answer {
        self.read_answer(true).expect("an answer before the end of the connection")
    }

    /// Reads one answer, or `None` at the end of the connection.
    pub(crate) fn next_answer(&mut self) -> Option<Answer> {
        self.read_answer(true)
    }

    /// Reads one answer to a HEAD request.
    pub(crate) fn answer_without_body(&mut self) -> Answer {
        self.read_answer(false).expect("an answer before the end of the connection")
    }

    /// Reads answers until the connection ends. Panics at anything that is not an answer.
    pub(crate) fn answers(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.read_answer(true)).collect()
    }

    /// Sends a request and reads the head of its reply only.
    pub(crate) fn head_of(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer_without_body()
    }

    /// Reads one chunk of a chunked body; empty for the last one.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let line = self.until(|received| received.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2));
        let digits = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
        let length = usize::from_str_radix(digits, 16).unwrap();
        let mut chunk = self.until(|received| (received.len() >= length + 2).then_some(length + 2));
        assert_eq!(chunk.split_off(length), b"\r\n");
        chunk
    }

    /// Reads everything until the connection ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.receive() > 0 {}
        std::mem::take(&mut self.received)
    }

    /// Receives until `end` says how many bytes are wanted, and returns these.
    fn until(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
        loop {
            if let Some(count) = end(&self.received) {
                return self.received.drain(..count).collect();
            }
            assert_ne!(self.receive(), 0, "torn body: {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// Waits until the door ends the connection; false where it sent something more.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.received.is_empty() && self.receive() == 0
    }

    fn read_answer(&mut self, with_body: bool) -> Option<Answer> {
        let (mut answer, head_bytes) = loop {
            if let Some(parsed) = parse(&self.received) {
                break parsed;
            }
            if self.receive() == 0 {
                assert!(self.received.is_empty(), "torn answer: {:?}", String::from_utf8_lossy(&self.received));
                return None;
            }
        };
        self.received.drain(..head_bytes);
        let length = answer.header("content-length").map_or(0, |value| value.parse().unwrap());
        if with_body {
            while self.received.len() < length {
                assert_ne!(self.receive(), 0, "torn body");
            }
            answer.body = self.received.drain(..length).collect();
        }
        Some(answer)
    }

    /// One read; 0 at the end of the connection, however it came.
    fn receive(&mut self) -> usize {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                count
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => 0,
            Err(error) => panic!("the door neither answered nor closed: {error}"),
        }
    }
}

/// A minimal request for `path`.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

/// A request with a body.
pub(crate) fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The answer's head at the start of `bytes` and its length, once it is whole.
fn parse(bytes: &[u8]) -> Option<(Answer, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).expect("a well-formed answer") else { return None };
    let headers = response.headers.iter();
    let headers = headers.map(|h| (h.name.to_owned(), String::from_utf8(h.value.to_vec()).unwrap())).collect();
    Some((Answer { status: response.code.unwrap(), headers, body: Vec::new() }, length))
}
