//! Name resolution for the addresses of peers.
//!
//! gRPC gets numeric addresses only. A name is resolved here, on threads of their own, because the system's resolver
//! blocks and cannot be interrupted.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::candidate::{self, Host};

use crate::cancel::Cancel;

pub(crate) use peernet_engine::candidate::HostPort;

/// Names waiting to be resolved; more than any process has sources being connected to at once.
const QUEUE_MAX: usize = 64;
/// One name that does not answer must not hold up all others.
const RESOLVER_THREADS: usize = 2;
/// Addresses tried of one name.
const ADDRESSES_MAX: usize = 4;

/// The reason that an address cannot be dialled or listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// The text is not `host:port`.
    Malformed,
    /// The name has no address, or none was found in time.
    Unresolved(String),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => candidate::AddressError.fmt(f),
            Self::Unresolved(host) => write!(f, "{host}: the name could not be resolved"),
        }
    }
}

impl std::error::Error for AddressError {}

impl From<candidate::AddressError> for AddressError {
    fn from(_: candidate::AddressError) -> Self {
        Self::Malformed
    }
}

/// Returns the numeric addresses to try, at once where the host is a number. A name waits for the resolver, up to
/// `timeout` or until `cancel`.
pub(crate) fn resolve(address: &HostPort, timeout: Duration, cancel: &Cancel) -> Result<Vec<SocketAddr>, AddressError> {
    match &address.host {
        Host::Number(ip) => Ok(vec![SocketAddr::new(*ip, address.port)]),
        Host::Name(name) => resolve_name(name, address.port, timeout, cancel),
    }
}

struct NameLookup {
    host: String,
    port: u16,
    answer: Sender<Vec<SocketAddr>>,
}

fn resolve_name(host: &str, port: u16, timeout: Duration, cancel: &Cancel) -> Result<Vec<SocketAddr>, AddressError> {
    let unresolved = || AddressError::Unresolved(host.to_owned());
    let (answer, answered) = bounded(1);
    let question = NameLookup { host: host.to_owned(), port, answer };
    resolver().ok_or_else(unresolved)?.try_send(question).map_err(|_| unresolved())?;
    let found = crossbeam_channel::select! {
        recv(answered) -> found => found.unwrap_or_default(),
        recv(cancel.channel()) -> _ => Vec::new(),
        default(timeout) => Vec::new(),
    };
    if found.is_empty() { Err(unresolved()) } else { Ok(found) }
}

/// The process's resolver threads, started with the first name. They live as long as the process, like gRPC's own: the
/// system's resolver cannot be interrupted, so they could not be joined in time.
fn resolver() -> Option<&'static Sender<NameLookup>> {
    static RESOLVER: OnceLock<Option<Sender<NameLookup>>> = OnceLock::new();
    RESOLVER.get_or_init(start_resolver).as_ref()
}

fn start_resolver() -> Option<Sender<NameLookup>> {
    let (sender, receiver) = bounded(QUEUE_MAX);
    let started = (0..RESOLVER_THREADS).filter(|n| {
        let questions = receiver.clone();
        thread::Builder::new().name(format!("peernet-dns-{n}")).spawn(move || answer_all(&questions)).is_ok()
    });
    (started.count() > 0).then_some(sender)
}

fn answer_all(questions: &Receiver<NameLookup>) {
    for question in questions {
        let found = (question.host.as_str(), question.port).to_socket_addrs();
        let found = found.map(|all| all.take(ADDRESSES_MAX).collect()).unwrap_or_default();
        // The caller may have stopped waiting.
        let _ = question.answer.try_send(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, cancel: &Cancel) -> Result<Vec<SocketAddr>, AddressError> {
        resolve(&text.parse()?, Duration::from_secs(10), cancel)
    }

    #[test]
    fn a_name_is_resolved_to_numbers() {
        let found = resolved("localhost:7", &Cancel::new()).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{found:?}");
    }

    #[test]
    fn a_number_needs_no_resolver_even_when_cancelled() {
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(resolved("[::1]:7", &cancel), Ok(vec!["[::1]:7".parse().unwrap()]));
        assert_eq!(resolved("name-without-end.invalid:7", &cancel).unwrap_err().to_string(), {
            "name-without-end.invalid: the name could not be resolved"
        });
        assert_eq!(resolved("unix:/run/x", &cancel), Err(AddressError::Malformed));
    }

    #[test]
    fn a_name_without_an_answer_in_time_is_unresolved() {
        let name: HostPort = "name-without-end.invalid:7".parse().unwrap();
        let expected = Err(AddressError::Unresolved("name-without-end.invalid".to_owned()));
        assert_eq!(resolve(&name, Duration::ZERO, &Cancel::new()), expected);
        assert_eq!(AddressError::Malformed.to_string(), "not an address: expected host:port");
    }

    #[test]
    fn many_threads_resolve_names_at_once() {
        std::thread::scope(|scope| {
            for number in 1..=16_u16 {
                scope.spawn(move || {
                    let found = resolved(&format!("localhost:{number}"), &Cancel::new()).unwrap();
                    assert!(!found.is_empty() && found.len() <= ADDRESSES_MAX);
                    assert!(
                        found.iter().all(|address| address.port() == number),
                        "each gets its own answer: {found:?}"
                    );
                });
            }
        });
    }
}
