//! Trusted proxies in front of the server, and the client's address by their `X-Forwarded-For`.
//!
//! Only addresses that a trusted proxy added count. The list is read from its end, and the first address that is not a
//! trusted proxy's is the client's. Addresses that a client wrote into the header itself stand before that one.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};

use crate::Head;

/// The most entries.
const ENTRIES_MAX: usize = 32;
/// The most addresses of the header that are looked at.
const HOPS_MAX: usize = 16;

/// An address, a network, or a host name that is resolved again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Network { base: IpAddr, bits: u8 },
    Name(String),
}

/// The trusted proxies.
#[derive(Debug, Default)]
pub struct Proxies {
    entries: Vec<Entry>,
    /// The addresses that the names last resolved to.
    resolved: RwLock<Vec<IpAddr>>,
}

impl FromStr for Proxies {
    type Err = String;

    /// Parses addresses, networks (`10.0.0.0/8`) and host names with commas between them; empty for none.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let entries: Vec<Entry> = parts.map(entry).collect::<Result<_, _>>()?;
        if entries.len() > ENTRIES_MAX {
            return Err(format!("at most {ENTRIES_MAX} proxies may be named"));
        }
        Ok(Self { entries, resolved: RwLock::default() })
    }
}

fn entry(text: &str) -> Result<Entry, String> {
    let bad = || format!("{text:?} is no address, network or host name");
    let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
    match (base.parse::<IpAddr>(), bits) {
        (Ok(base), None) => Ok(Entry::Network { base: base.to_canonical(), bits: width(base) }),
        (Ok(base), Some(bits)) => {
            let bits = bits.parse().ok().filter(|bits| *bits <= width(base)).ok_or_else(bad)?;
            Ok(Entry::Network { base, bits })
        }
        (Err(_), None) if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) => {
            Ok(Entry::Name(text.to_owned()))
        }
        (Err(_), _) => Err(bad()),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Proxies {
    /// Returns whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Resolves the names, and waits as long as that takes. A name that does not resolve is trusted at no address.
    pub fn refresh(&self) {
        let names = self.entries.iter().filter_map(|entry| match entry {
            Entry::Name(name) => Some(name.as_str()),
            Entry::Network { .. } => None,
        });
        let found: Vec<IpAddr> = names
            .filter_map(|name| (name, 0).to_socket_addrs().ok())
            .flat_map(|addresses| addresses.map(|address| address.ip().to_canonical()))
            .collect();
        *self.resolved.write().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// The client's address of a request whose connection came from `remote`.
    pub fn client_of(&self, remote: IpAddr, head: &Head) -> IpAddr {
        if self.entries.is_empty() || !self.trusts(remote) {
            return remote;
        }
        let headers =
            head.headers.iter().filter(|(name, _)| name == "x-forwarded-for").map(|(_, value)| value.as_str());
        let hops: Vec<&str> = headers.flat_map(|value| value.split(',')).collect();
        let mut client = remote;
        for hop in hops.into_iter().rev().take(HOPS_MAX) {
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let in_network = |entry: &Entry| match entry {
            Entry::Network { base, bits } => is_within(address, *base, *bits),
            Entry::Name(_) => false,
        };
        self.entries.iter().any(in_network)
            || self.resolved.read().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }
}

fn is_within(address: IpAddr, base: IpAddr, bits: u8) -> bool {
    let differs = match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => u128::from(address.to_bits() ^ base.to_bits()) << 96,
        (IpAddr::V6(address), IpAddr::V6(base)) => address.to_bits() ^ base.to_bits(),
        _ => return false,
    };
    differs.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use tiny_http::Method;

    use super::*;

    fn client(trusted: &str, remote: &str, forwarded: &[&str]) -> String {
        let proxies: Proxies = trusted.parse().expect(trusted);
        proxies.refresh();
        let headers = forwarded.iter().map(|value| ("x-forwarded-for".into(), (*value).to_owned())).collect();
        let head = Head { method: Method::Get, path: "/".into(), query: String::new(), headers };
        proxies.client_of(remote.parse().expect(remote), &head).to_string()
    }

    #[test]
    fn only_addresses_added_by_trusted_proxies_count() {
        for (trusted, remote, forwarded, expected) in [
            ("", "9.9.9.9", &["1.1.1.1"][..], "9.9.9.9"),
            ("10.0.0.2", "9.9.9.9", &["1.1.1.1"], "9.9.9.9"),
            ("10.0.0.2", "10.0.0.2", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.2", "10.0.0.2", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.2", "10.0.0.2", &["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
            ("10.0.0.0/30,::1", "::1", &["1.1.1.1, 10.0.0.3"], "1.1.1.1"),
            ("10.0.0.0/30", "10.0.0.4", &["1.1.1.1"], "10.0.0.4"),
            ("0.0.0.0/0", "10.0.0.4", &["1.1.1.1, 2.2.2.2"], "1.1.1.1"),
            ("10.0.0.2", "10.0.0.2", &[], "10.0.0.2"),
            ("10.0.0.2", "10.0.0.2", &["unknown"], "10.0.0.2"),
            ("10.0.0.2", "10.0.0.2", &["1.1.1.1, unknown"], "10.0.0.2"),
            ("10.0.0.2", "10.0.0.2", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("2001:db8::/32", "2001:db8::7", &["2001:db9::1"], "2001:db9::1"),
            ("localhost", "127.0.0.1", &["1.1.1.1"], "1.1.1.1"),
        ] {
            assert_eq!(client(trusted, remote, forwarded), expected, "{trusted} {remote} {forwarded:?}");
        }
    }

    #[test]
    fn malformed_lists_of_proxies_are_refused() {
        for bad in ["10.0.0.0/33", "::/129", "10.0.0.0/x", "name/8", "a b", "http://a", &vec!["a"; 33].join(",")] {
            assert!(bad.parse::<Proxies>().is_err(), "{bad}");
        }
        assert!("".parse::<Proxies>().is_ok_and(|none| none.is_empty()));
    }

    #[test]
    fn networks_contain_what_their_prefix_covers() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"][..], &["11.0.0.0", "9.255.255.255"][..]),
            ("10.1.2.3", &["10.1.2.3", "::ffff:10.1.2.3"], &["10.1.2.2", "10.1.2.4"]),
            ("10.1.2.3/32", &["10.1.2.3"], &["10.1.2.2"]),
            ("10.1.2.2/31", &["10.1.2.2", "10.1.2.3"], &["10.1.2.1", "10.1.2.4"]),
            ("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["2001:db8::1"]),
            ("2001:db8::/32", &["2001:db8::1", "2001:db8:ffff::"], &["2001:db9::1", "10.0.0.1"]),
            ("::/0", &["2001:db8::1"], &["10.0.0.1"]),
            ("::1", &["::1"], &["::2", "127.0.0.1"]),
        ] {
            let proxies: Proxies = network.parse().expect(network);
            let trusts = |address: &&str| proxies.trusts(address.parse::<IpAddr>().expect(address).to_canonical());
            assert!(inside.iter().all(trusts), "{network} {inside:?}");
            assert!(!outside.iter().any(trusts), "{network} {outside:?}");
        }
    }

    #[test]
    fn a_long_chain_of_hops_is_read_from_its_end() {
        let hops: Vec<String> = (0..100).map(|n| format!("10.0.0.{n}")).collect();
        let client = client("10.0.0.0/8", "10.9.9.9", &[&hops.join(", ")]);
        assert_eq!(client, format!("10.0.0.{}", 100 - HOPS_MAX), "no more hops than the bound are looked at");
    }

    #[test]
    fn spaces_and_empty_parts_of_the_list_are_ignored() {
        let proxies: Proxies = " 10.0.0.1 ,, proxy.example , ".parse().expect("two entries");
        assert_eq!(proxies.entries.len(), 2);
        assert!(!proxies.is_empty());
        assert!(!proxies.trusts(IpAddr::from([10, 0, 0, 2])), "a name that was not resolved is trusted at no address");
    }
}
