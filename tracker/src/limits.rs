//! How many requests a client may make: by address before anything else is looked at, by account once the token is known, and more
//! strictly for registering and logging in.
//!
//! A limit that is reached is answered 429 `rate_limited` with Retry-After. Nothing here locks: see [`rate`].

pub mod rate;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use peernet_engine::ids::PeerId;

use crate::api::ApiError;
use crate::config::Config;
use crate::http::Request;
use rate::{Rate, Steady};

/// What is answered whatever a client did before: whoever watches the tracker may share an address with anyone.
const EXEMPT: [&str; 2] = ["/health", "/ready"];

/// The limits in force; those that are switched off are `None`.
#[derive(Debug)]
pub struct Limits {
    address: Option<Rate<Steady>>,
    account: Option<Rate<Steady>>,
    registrations: Option<Rate<Steady>>,
    logins: Option<Rate<Steady>>,
}

impl Limits {
    /// As the settings say.
    pub fn new(config: &Config) -> Self {
        let clock = Steady::start();
        let second = Duration::from_secs(1);
        let minute = Duration::from_secs(60);
        Self {
            address: Rate::new(config.rate_per_address, second, BURST_SECONDS, clock),
            account: Rate::new(config.rate_per_account, second, BURST_SECONDS, clock),
            registrations: Rate::new(config.registrations_per_address, minute, 1, clock),
            logins: Rate::new(config.logins_per_address, minute, 1, clock),
        }
    }

    /// Counts a request against its address.
    pub fn check_request(&self, request: &Request) -> Result<(), ApiError> {
        if EXEMPT.contains(&request.head.path.as_str()) {
            return Ok(());
        }
        by_address(self.address.as_ref(), request.remote, "this address makes too many requests")
    }

    /// Counts a request against its account.
    pub fn check_account(&self, peer: PeerId) -> Result<(), ApiError> {
        check(self.account.as_ref(), peer.0, "this account makes too many requests")
    }

    /// Counts a registration.
    pub fn check_registration(&self, remote: Option<IpAddr>) -> Result<(), ApiError> {
        by_address(self.registrations.as_ref(), remote, "too many registrations from this address")
    }

    /// Counts a login.
    pub fn check_login(&self, remote: Option<IpAddr>) -> Result<(), ApiError> {
        by_address(self.logins.as_ref(), remote, "too many logins from this address")
    }
}

/// How many seconds' worth of requests may come at once: version 1 announces a file of 16,384 chunks in one burst.
const BURST_SECONDS: u32 = 4;

/// A Unix socket has no address and no strangers.
fn by_address(rate: Option<&Rate<Steady>>, remote: Option<IpAddr>, what: &str) -> Result<(), ApiError> {
    remote.map_or(Ok(()), |remote| check(rate, client_key(remote), what))
}

fn check(rate: Option<&Rate<Steady>>, key: [u8; 16], what: &str) -> Result<(), ApiError> {
    let Some(rate) = rate else { return Ok(()) };
    rate.check(key).map_err(|wait| ApiError::too_many("rate_limited", what, wait))
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 address is in, because one machine usually has all of it.
pub fn client_key(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).octets(),
    }
}

#[cfg(test)]
mod tests {
    use tiny_http::Method;

    use super::*;
    use crate::http::{Head, RequestId};

    fn request(path: &str, remote: Option<&str>) -> Request {
        let head = Head { method: Method::Get, path: path.into(), query: String::new(), headers: Vec::new() };
        Request {
            head,
            body: Vec::new(),
            remote: remote.map(|text| text.parse().expect("an address")),
            id: RequestId::fresh(),
        }
    }

    fn strict() -> Limits {
        Limits::new(&Config {
            rate_per_address: 1,
            rate_per_account: 1,
            registrations_per_address: 2,
            logins_per_address: 2,
            ..Config::default()
        })
    }

    #[test]
    fn a_client_that_is_over_its_limit_is_told_when_to_come_back_and_others_are_not_held_up() {
        let limits = strict();
        let ask = |path, remote| limits.check_request(&request(path, remote));
        for _ in 0..BURST_SECONDS {
            ask("/x", Some("10.0.0.1")).expect("within the burst");
        }
        let refused = ask("/x", Some("10.0.0.1")).expect_err("is over");
        assert_eq!((refused.status, refused.code, refused.retry_after_s), (429, "rate_limited", Some(1)));
        assert_eq!(ask("/x", Some("::ffff:10.0.0.1")).expect_err("is the same").status, 429);
        ask("/x", Some("10.0.0.2")).expect("another");
        ask("/health", Some("10.0.0.1")).expect("health is always answered");
        for _ in 0..100 {
            ask("/x", None).expect("the operations socket is nobody's address");
        }
    }

    #[test]
    fn one_machine_s_ipv6_addresses_are_one_client() {
        let key = |text: &str| client_key(text.parse().expect("an address"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::2:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
    }

    #[test]
    fn accounts_registrations_and_logins_have_limits_of_their_own() {
        let limits = strict();
        let here = Some("10.0.0.1".parse().expect("an address"));
        for _ in 0..2 {
            limits.check_registration(here).expect("within");
            limits.check_login(here).expect("within");
        }
        assert_eq!(limits.check_registration(here).expect_err("over").retry_after_s, Some(30));
        assert_eq!(limits.check_login(here).expect_err("over").code, "rate_limited");
        let over = (0..=BURST_SECONDS).filter(|_| limits.check_account(PeerId([1; 16])).is_err()).count();
        assert_eq!(over, 1);
        limits.check_account(PeerId([2; 16])).expect("another account");
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let off = Config {
            rate_per_address: 0,
            rate_per_account: 0,
            registrations_per_address: 0,
            logins_per_address: 0,
            ..Config::default()
        };
        let limits = Limits::new(&off);
        let here = Some("10.0.0.1".parse().expect("an address"));
        for _ in 0..100_000 {
            limits.check_request(&request("/x", Some("10.0.0.1"))).expect("off");
            limits.check_account(PeerId([1; 16])).expect("off");
        }
        assert!((0..1_000).all(|_| limits.check_registration(here).is_ok() && limits.check_login(here).is_ok()));
    }

    #[test]
    fn by_default_many_version_1_peers_behind_one_address_announce_at_once() {
        let limits = Limits::new(&Config::default());
        let one = request("/api/v1/files/announce", Some("10.0.0.1"));
        for peer in 0..64 {
            for _ in 0..1_024 {
                limits.check_request(&one).expect("64 peers with a file of 1 GiB each");
                limits.check_account(PeerId([peer; 16])).expect("its own");
            }
        }
        for _ in 0..16_384 {
            limits.check_account(PeerId([99; 16])).expect("the largest file of version 1");
        }
    }
}
