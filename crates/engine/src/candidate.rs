//! Candidates: the addresses at which a peer may be reached, best first (RFC 8445).
//!
//! A peer's location is a short list of candidates and not one address, because a peer may be reachable directly,
//! through a port mapping of its router, through an address that its NAT opened, or only through a relay. Each
//! candidate says which of these it is. Today only [`CandidateKind::Host`] is produced.
//!
//! Candidates come from the network. Their text reaches a dialler only after [`HostPort`] has parsed it: gRPC would
//! also dial `unix:/run/some.socket` or `dns:///name`, and a plan must never make a peer do that.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// The longest `host:port` accepted, in bytes: a name of 253 bytes, brackets, a colon and a port.
pub const ADDRESS_BYTES_MAX: usize = 261;
/// The most candidates kept for one peer.
pub const CANDIDATES_MAX: usize = 8;
/// The most candidates looked at for one peer. A longer list costs no more, whatever it holds.
const CANDIDATES_CONSIDERED_MAX: usize = 64;

/// The origin of a candidate's address (RFC 8445 section 4; RFC 6544 for the TCP type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateKind {
    /// An address of the peer's own network interface, or one that its operator named.
    Host,
    /// A port that the peer's router forwards on request (NAT-assisted in RFC 6544).
    PortMapped,
    /// The address that a server saw the peer call from.
    ServerReflexive,
    /// An address of a relay that forwards to the peer.
    Relayed,
}

impl CandidateKind {
    /// The type preference of RFC 8445 section 5.1.2.2: higher is tried first. Port-mapped lies between host and
    /// server-reflexive, because a mapping accepts calls that the peer did not prepare.
    pub fn type_preference(self) -> u32 {
        match self {
            Self::Host => 126,
            Self::PortMapped => 105,
            Self::ServerReflexive => 100,
            Self::Relayed => 0,
        }
    }
}

/// The protection of a connection between two peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Encrypted, and both sides have proven their account.
    Tls,
    /// Neither encrypted nor proven.
    Plaintext,
}

impl Transport {
    /// Returns the stable word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Plaintext => "plaintext",
        }
    }
}

/// One address of a peer. Its text is a syntactically right `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    kind: CandidateKind,
    address: Arc<str>,
}

impl Candidate {
    /// A candidate of this kind, if `address` is `host:port`. A host name is kept as it was written.
    pub fn new(kind: CandidateKind, address: impl Into<Arc<str>>) -> Result<Self, AddressError> {
        let address = address.into();
        address.parse::<HostPort>()?;
        Ok(Self { kind, address })
    }

    /// A host candidate.
    pub fn host(address: impl Into<Arc<str>>) -> Result<Self, AddressError> {
        Self::new(CandidateKind::Host, address)
    }

    /// Returns the origin of the address.
    pub fn kind(&self) -> CandidateKind {
        self.kind
    }

    /// The address as `host:port`.
    pub fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// The address in its parts, for a dialler.
    pub fn host_port(&self) -> HostPort {
        self.address.parse().expect("checked when the candidate was made")
    }

    /// The priority of RFC 8445 section 5.1.2.1 for the candidate at `position` of its peer's own list. All candidates
    /// belong to one component.
    pub fn priority(&self, position: usize) -> u32 {
        let local_preference = u32::from(u16::MAX) - u32::try_from(position).unwrap_or(u32::MAX).min(u16::MAX.into());
        const COMPONENT: u32 = 1;
        (self.kind.type_preference() << 24) + (local_preference << 8) + (256 - COMPONENT)
    }
}

/// The location of a peer: at most [`CANDIDATES_MAX`] different candidates, the highest priority first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Candidates(Vec<Candidate>);

impl Candidates {
    /// Keeps the best of `all`, in the order of their priorities. Candidates of one kind keep the order they came in.
    /// Only the first `CANDIDATES_CONSIDERED_MAX` are looked at.
    pub fn new(all: impl IntoIterator<Item = Candidate>) -> Self {
        let mut kept: Vec<Candidate> = Vec::new();
        for candidate in all.into_iter().take(CANDIDATES_CONSIDERED_MAX) {
            if kept.iter().all(|known| known.address != candidate.address) {
                kept.push(candidate);
            }
        }
        kept.sort_by_key(|candidate| std::cmp::Reverse(candidate.kind.type_preference()));
        kept.truncate(CANDIDATES_MAX);
        Self(kept)
    }

    /// Host candidates of these addresses. Texts that are not `host:port` are left out.
    pub fn hosts<T: Into<Arc<str>>>(addresses: impl IntoIterator<Item = T>) -> Self {
        Self::new(addresses.into_iter().filter_map(|address| Candidate::host(address).ok()))
    }

    /// The candidates, best first.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.0.iter()
    }

    /// The best candidate.
    pub fn first(&self) -> Option<&Candidate> {
        self.0.first()
    }

    /// Returns the number of candidates.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if the peer has no candidate, so that no other peer can connect to it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The text of an address is not `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressError;

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address: expected host:port")
    }
}

impl std::error::Error for AddressError {}

/// A syntactically right `host:port`. The port may be 0, which means any port where a peer is to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// The host of a [`HostPort`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An IPv4 address, or an IPv6 address that was written in brackets.
    Number(IpAddr),
    /// A name of letters, digits, `.`, `-` and `_`, in lower case.
    Name(String),
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError);
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        // `u16::from_str` accepts a plus sign.
        let digits_only = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits_only).ok_or(AddressError)?;
        let host = parse_host(host).ok_or(AddressError)?;
        Ok(Self { host, port })
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
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Some(Host::Number(ip.into()));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_name = !host.is_empty() && !host.starts_with('-') && host.bytes().all(allowed);
    is_name.then(|| Host::Name(host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_parse_and_print_the_same() {
        for good in ["127.0.0.1:50051", "[::1]:1", "peer-1.example.org:65535", "my_host:80", "localhost:0"] {
            let parsed: HostPort = good.parse().unwrap();
            assert_eq!(parsed.to_string(), good);
        }
        assert_eq!("HOST:1".parse::<HostPort>().unwrap().to_string(), "host:1");
    }

    #[test]
    fn anything_but_host_and_port_is_refused() {
        let long = format!("{}:1", "a".repeat(ADDRESS_BYTES_MAX - 1));
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
            assert_eq!(text.parse::<HostPort>(), Err(AddressError), "{text}");
            assert_eq!(Candidate::host(text), Err(AddressError), "{text}");
        }
        assert!(long[1..].parse::<HostPort>().is_ok(), "the bound itself is accepted");
    }

    /// Checks the addresses that [`Candidates::new`] keeps, and their priorities. Each input is a letter for the kind,
    /// and an address.
    fn check(all: &[(char, &str)], expected: &[&str]) {
        let kind = |letter| match letter {
            'h' => CandidateKind::Host,
            'p' => CandidateKind::PortMapped,
            's' => CandidateKind::ServerReflexive,
            _ => CandidateKind::Relayed,
        };
        let candidates = all.iter().map(|(letter, address)| Candidate::new(kind(*letter), *address).unwrap());
        let kept = Candidates::new(candidates);
        assert_eq!(kept.iter().map(|candidate| &**candidate.address()).collect::<Vec<_>>(), expected, "{all:?}");
        let priorities: Vec<u32> = kept.iter().enumerate().map(|(at, candidate)| candidate.priority(at)).collect();
        assert!(priorities.is_sorted_by(|a, b| a > b), "{priorities:?}");
        assert_eq!((kept.len(), kept.is_empty()), (expected.len(), expected.is_empty()));
        assert_eq!(kept.first().map(|candidate| &**candidate.address()), expected.first().copied());
    }

    #[test]
    fn candidates_are_ordered_by_kind_then_as_given() {
        check(&[], &[]);
        check(&[('h', "a:1"), ('h', "b:1")], &["a:1", "b:1"]);
        check(&[('r', "r:1"), ('s', "s:1"), ('p', "p:1"), ('h', "h:1")], &["h:1", "p:1", "s:1", "r:1"]);
        check(&[('h', "a:1"), ('r', "a:1")], &["a:1"]);
    }

    #[test]
    fn a_list_keeps_the_best_and_is_bounded() {
        let hosts: Vec<String> = (0..CANDIDATES_MAX).map(|n| format!("h{n}:1")).collect();
        let mut all: Vec<(char, &str)> = vec![('r', "relay:1")];
        all.extend(hosts.iter().map(|host| ('h', host.as_str())));
        check(&all, &hosts.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn host_priority_is_the_one_of_the_rfc() {
        let host = Candidate::host("192.0.2.1:1").unwrap();
        // RFC 8445 section 5.1.2.1: 2^24 * 126 + 2^8 * 65535 + 255.
        assert_eq!(host.priority(0), 2_130_706_431);
        assert_eq!(host.priority(usize::MAX), (126 << 24) + 255);
        assert_eq!(host.host_port().to_string(), "192.0.2.1:1");
    }

    #[test]
    fn unusable_texts_are_left_out_of_hosts() {
        let kept = Candidates::hosts(["unix:/x", "a:1", "dns:///b:1", "[::1]:2"]);
        assert_eq!(kept.iter().map(|candidate| &**candidate.address()).collect::<Vec<_>>(), ["a:1", "[::1]:2"]);
    }

    #[test]
    fn a_list_is_looked_at_up_to_a_bound() {
        let relayed = |n: usize| Candidate::new(CandidateKind::Relayed, format!("r{n}:1")).expect("an address");
        let host = Candidate::host("h:1").expect("an address");
        for (relays, is_first) in [(CANDIDATES_CONSIDERED_MAX - 1, true), (CANDIDATES_CONSIDERED_MAX, false)] {
            let all = (0..relays).map(relayed).chain([host.clone()]);
            assert_eq!(Candidates::new(all).first() == Some(&host), is_first, "{relays}");
        }
        // The rest of an endless list is never taken.
        let endless = Candidates::new((0..).map(relayed));
        assert_eq!(endless.len(), CANDIDATES_MAX);
    }
}
