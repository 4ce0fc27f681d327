//! Validation of `host:port` as peers state it. An address that passes may be listed to other peers and dialled.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use peernet_protos::limits::ADDRESS_BYTES_MAX;

/// Longest DNS name and label, RFC 1035 section 2.3.4.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// The reason why a text is no address, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressError(pub &'static str);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address must be host:port: {}", self.0)
    }
}

/// Checks `host:port` and returns it in lower case. The host is an IPv4 address, an IPv6 address in brackets or a DNS
/// name (underscores allowed, as container networks use them); the port is 1 to 65535. Never a URL, a path or a
/// scheme such as `unix:` or `dns:`.
pub fn peer_address(text: &str) -> Result<String, AddressError> {
    let invalid = AddressError;
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(invalid("it is too long"));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| invalid("the port is missing"))?;
    if !is_port(port) {
        return Err(invalid("the port must be 1 to 65535"));
    }
    if !is_host(host) {
        return Err(invalid("the host must be a name, an IPv4 address or an IPv6 address in brackets"));
    }
    Ok(text.to_ascii_lowercase())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') && text.parse::<u16>().is_ok()
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    // Resolvers read a name whose last label is a number as an IPv4 address, in notations such as 0x7f.1 that no peer needs.
    let numeric = host.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    let hexadecimal = host.split('.').any(|label| label.starts_with("0x") || label.starts_with("0X"));
    match numeric || hexadecimal {
        true => host.parse::<Ipv4Addr>().is_ok(),
        false => host.len() <= NAME_BYTES_MAX && host.split('.').all(is_label),
    }
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_pass() {
        for good in ["127.0.0.1:50051", "0.0.0.0:1", "[::1]:65535", "peer-1:50051", "my_peer.example.org:80", "a:9"] {
            assert_eq!(peer_address(good).expect(good), good);
        }
        assert_eq!(peer_address("Peer:1").expect("a name"), "peer:1");
        let long = format!("{}:1", "a.".repeat(127) + "aa");
        let bad = [
            "",
            ":",
            "peer",
            "peer:",
            ":1",
            "peer:0",
            "peer:65536",
            "peer:-1",
            "peer:+1",
            "peer:01",
            "peer: 1",
            "peer:1 ",
            "unix:///tmp/s",
            "unix:/tmp/s:1",
            "dns:///peer:1",
            "http://peer:1",
            "a/b:1",
            "peer:1/x",
            "::1:1",
            "[::1]",
            "[::1:1",
            "[peer]:1",
            "1.2.3:1",
            "1.2.3.4.5:1",
            "999.1.1.1:1",
            "0x7f.1:1",
            "017700000001:1",
            "-a:1",
            "a-:1",
            "a..b:1",
            "péer:1",
            "a b:1",
            "peer:1\n",
            "a\0:1",
            "user@peer:1",
            "[fe80::1%eth0]:1",
            long.as_str(),
        ];
        for text in bad {
            assert!(peer_address(text).is_err(), "{text}");
        }
    }
}
