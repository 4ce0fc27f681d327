//! Request rates per client: by address before a request is looked at, by account once its token is known, and stricter rates
//! for registering and logging in.
//!
//! Nothing here locks: see [`crate::domain::rate`].

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use peernet_engine::ids::PeerId;

use crate::domain::rate::{Rate, Steady};

/// The number of seconds whose requests may come at once: version 1 announces a file of 16,384 chunks in one burst.
const BURST_SECONDS: u32 = 4;

/// The rates that the operator has set; 0 switches one off.
#[derive(Debug, Clone, Copy)]
pub struct RateSettings {
    /// Requests per second from one address.
    pub per_address: u32,
    /// Requests per second of one account.
    pub per_account: u32,
    /// Registrations per minute from one address.
    pub registrations: u32,
    /// Logins per minute from one address.
    pub logins: u32,
}

/// A client has used up its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// The name of the rate, for people.
    pub what: &'static str,
    /// The time until the next request passes.
    pub wait: Duration,
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

/// The limits in force; those that are switched off are `None`.
#[derive(Debug)]
pub struct Limits {
    address: Option<Rate<Steady>>,
    account: Option<Rate<Steady>>,
    registrations: Option<Rate<Steady>>,
    logins: Option<Rate<Steady>>,
}

impl Limits {
    /// Starts counting with these rates.
    pub fn new(settings: RateSettings) -> Self {
        let clock = Steady::start();
        let second = Duration::from_secs(1);
        let minute = Duration::from_secs(60);
        Self {
            address: Rate::new(settings.per_address, second, BURST_SECONDS, clock),
            account: Rate::new(settings.per_account, second, BURST_SECONDS, clock),
            registrations: Rate::new(settings.registrations, minute, 1, clock),
            logins: Rate::new(settings.logins, minute, 1, clock),
        }
    }

    /// Counts a request against its address. A Unix socket has no address and no limit.
    pub fn check_address(&self, remote: Option<IpAddr>) -> Result<(), RateLimited> {
        by_address(self.address.as_ref(), remote, "this address makes too many requests")
    }

    /// Counts a request against its account.
    pub fn check_account(&self, peer: PeerId) -> Result<(), RateLimited> {
        check(self.account.as_ref(), peer.0, "this account makes too many requests")
    }

    /// Counts a registration.
    pub fn check_registration(&self, remote: Option<IpAddr>) -> Result<(), RateLimited> {
        by_address(self.registrations.as_ref(), remote, "too many registrations from this address")
    }

    /// Counts a login.
    pub fn check_login(&self, remote: Option<IpAddr>) -> Result<(), RateLimited> {
        by_address(self.logins.as_ref(), remote, "too many logins from this address")
    }

    /// Returns whether logins are limited by address, and so addresses tell clients apart.
    pub fn tells_addresses_apart(&self) -> bool {
        self.logins.is_some()
    }
}

fn by_address(rate: Option<&Rate<Steady>>, remote: Option<IpAddr>, what: &'static str) -> Result<(), RateLimited> {
    remote.map_or(Ok(()), |remote| check(rate, client_key(remote), what))
}

fn check(rate: Option<&Rate<Steady>>, key: [u8; 16], what: &'static str) -> Result<(), RateLimited> {
    let Some(rate) = rate else { return Ok(()) };
    rate.check(key).map_err(|wait| RateLimited { what, wait })
}

/// The key of one client: an IPv4 address, or the /64 of an IPv6 address, because one machine usually has all of it.
pub fn client_key(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn strict() -> Limits {
        Limits::new(RateSettings { per_address: 1, per_account: 1, registrations: 2, logins: 2 })
    }

    #[test]
    fn a_client_over_its_limit_waits_and_others_do_not() {
        let limits = strict();
        for _ in 0..BURST_SECONDS {
            limits.check_address(address("10.0.0.1")).expect("within the burst");
        }
        let refused = limits.check_address(address("10.0.0.1")).expect_err("is over");
        assert!(refused.wait <= Duration::from_secs(1), "{refused:?}");
        limits.check_address(address("::ffff:10.0.0.1")).expect_err("is the same client");
        limits.check_address(address("10.0.0.2")).expect("another client");
        for _ in 0..100 {
            limits.check_address(None).expect("a Unix socket has no address");
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
    fn accounts_registrations_and_logins_have_their_own_limits() {
        let limits = strict();
        let here = address("10.0.0.1");
        for _ in 0..2 {
            limits.check_registration(here).expect("within");
            limits.check_login(here).expect("within");
        }
        let wait = limits.check_registration(here).expect_err("over").wait;
        assert!(wait > Duration::from_secs(29) && wait <= Duration::from_secs(30), "{wait:?}");
        limits.check_login(here).expect_err("over");
        let over = (0..=BURST_SECONDS).filter(|_| limits.check_account(PeerId([1; 16])).is_err()).count();
        assert_eq!(over, 1);
        limits.check_account(PeerId([2; 16])).expect("another account");
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let limits = Limits::new(RateSettings { per_address: 0, per_account: 0, registrations: 0, logins: 0 });
        let here = address("10.0.0.1");
        for _ in 0..100_000 {
            limits.check_address(here).expect("off");
            limits.check_account(PeerId([1; 16])).expect("off");
        }
        assert!((0..1_000).all(|_| limits.check_registration(here).is_ok() && limits.check_login(here).is_ok()));
        assert!(!limits.tells_addresses_apart());
    }
}
