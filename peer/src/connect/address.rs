//! Addresses as other peers and the tracker name them: `host:port` and nothing else.
//!
//! gRPC itself would accept `unix:/run/some.socket` or `dns:///name`; a listing must never make us dial those. So a text
//! is parsed here, a name is resolved here, and only numbers are given to gRPC.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_protos::limits::ADDRESS_BYTES_MAX;

use crate::cancel::Cancel;

/// Names waiting to be resolved; more than any process has sources being connected to at once.
const QUEUE_MAX: usize = 64;
/// The system's resolver blocks, so a name that does not answer must not hold up all others.
const RESOLVER_THREADS: usize = 2;
/// Addresses tried of one name.
const ADDRESSES_MAX: usize = 4;

/// Why an address cannot be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// Not `host:port`.
    Malformed,
    /// The name has no address, or none was found in time.
    Unresolved(String),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not an address: host:port is wanted"),
            Self::Unresolved(host) => write!(f, "{host}: the name could not be resolved"),
        }
    }
}

impl std::error::Error for AddressError {}

/// A syntactically right `host:port`: a name of letters, digits, `.`, `-` and `_`, an IPv4 address, or an IPv6 address
/// in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Number(IpAddr),
    Name(String),
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::Malformed);
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Malformed)?;
        let digits_only = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits_only).ok_or(AddressError::Malformed)?;
        Ok(Self { host: parse_host(host).ok_or(AddressError::Malformed)?, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Number(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

fn parse_host(host: &str) -> Option<Host> {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(|ip| Host::Number(ip.into()));
    }
    if let Ok(ip) = host.parse::<std::net::Ipv4Addr>() {
        return Some(Host::Number(ip.into()));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_name = !host.is_empty() && !host.starts_with('-') && host.bytes().all(allowed);
    is_name.then(|| Host::Name(host.to_ascii_lowercase()))
}

impl HostPort {
    /// The port; 0 only where one is to listen.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Numeric addresses to try, at once where the host is a number. A name waits for the resolver, up to `timeout` or
    /// until `cancel`.
    pub fn resolve(&self, timeout: Duration, cancel: &Cancel) -> Result<Vec<SocketAddr>, AddressError> {
        match &self.host {
            Host::Number(ip) => Ok(vec![SocketAddr::new(*ip, self.port)]),
            Host::Name(name) => resolve_name(name, self.port, timeout, cancel),
        }
    }
}

struct Question {
    host: String,
    port: u16,
    answer: Sender<Vec<SocketAddr>>,
}

fn resolve_name(host: &str, port: u16, timeout: Duration, cancel: &Cancel) -> Result<Vec<SocketAddr>, AddressError> {
    let unresolved = || AddressError::Unresolved(host.to_owned());
    let (answer, answered) = bounded(1);
    let question = Question { host: host.to_owned(), port, answer };
    resolver().ok_or_else(unresolved)?.try_send(question).map_err(|_| unresolved())?;
    let found = crossbeam_channel::select! {
        recv(answered) -> found => found.unwrap_or_default(),
        recv(cancel.channel()) -> _ => Vec::new(),
        default(timeout) => Vec::new(),
    };
    if found.is_empty() { Err(unresolved()) } else { Ok(found) }
}

/// The process's resolver threads, started with the first name. They live as long as the process, like gRPC's own:
/// the system's resolver cannot be interrupted, so nobody could join them in time.
fn resolver() -> Option<&'static Sender<Question>> {
    static RESOLVER: OnceLock<Option<Sender<Question>>> = OnceLock::new();
    RESOLVER.get_or_init(start_resolver).as_ref()
}

fn start_resolver() -> Option<Sender<Question>> {
    let (sender, receiver) = bounded(QUEUE_MAX);
    let started = (0..RESOLVER_THREADS).filter(|n| {
        let questions = receiver.clone();
        thread::Builder::new().name(format!("peernet-dns-{n}")).spawn(move || answer_all(&questions)).is_ok()
    });
    (started.count() > 0).then_some(sender)
}

fn answer_all(questions: &Receiver<Question>) {
    for question in questions {
        let found = (question.host.as_str(), question.port).to_socket_addrs();
        let found = found.map(|all| all.take(ADDRESSES_MAX).collect()).unwrap_or_default();
        // Whoever asked may have stopped waiting.
        let _ = question.answer.try_send(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_are_addresses() {
        for good in ["127.0.0.1:50051", "[::1]:1", "peer-1.example.org:65535", "my_host:80", "localhost:0"] {
            let parsed: HostPort = good.parse().unwrap();
            assert_eq!(parsed.to_string(), good);
        }
        let long = format!("{}:1", "a".repeat(300));
        let bad = [
            "",
            ":1",
            "host",
            "host:",
            "host:x",
            "host:+1",
            "host:65536",
            "unix:/run/x.sock",
            "unix:///run/x:1",
            "dns:///host:1",
            "dns://1.1.1.1/host:1",
            "ipv4:1.2.3.4:5",
            "::1:80",
            "[::1]",
            "[1.2.3.4]:5",
            "a b:1",
            "host/path:1",
            "http://host:1",
            "-x:1",
            "ho\0st:1",
            "höst:1",
            &long,
        ];
        for text in bad {
            assert_eq!(text.parse::<HostPort>(), Err(AddressError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_name_is_resolved_to_numbers() {
        let localhost: HostPort = "localhost:7".parse().unwrap();
        let found = localhost.resolve(Duration::from_secs(10), &Cancel::new()).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{found:?}");
    }
}
