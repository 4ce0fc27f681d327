//! The lock on password guessing: one small table behind a mutex, which costs nothing beside bcrypt.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use peernet_engine::guesses::{Guesses, Locked, Name, Origin, Outcome};
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use sha2::{Digest as _, Sha256};

use crate::base::sync::lock;
use crate::domain::limits::client_key;

/// The counts of wrong passwords.
#[derive(Debug, Default)]
pub(super) struct Lock {
    guesses: Mutex<Guesses>,
}

/// An attempt that was let through. If it is dropped without [`Attempt::end`], its password was not checked and it counts for
/// nothing.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    lock: &'a Lock,
    name: Name,
    origin: Origin,
    now: UnixMillis,
    ended: bool,
}

impl Lock {
    /// Lets an attempt through, or returns how long to wait. Without an address each account counts by itself: guesses at one
    /// account must not delay other clients behind the same proxy.
    pub(super) fn begin(&self, now: UnixMillis, name: Name, remote: Option<IpAddr>) -> Result<Attempt<'_>, Duration> {
        let origin = remote.map_or(name, client_key);
        self.guesses().begin(now, name, origin)?;
        Ok(Attempt { lock: self, name, origin, now, ended: false })
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        lock(&self.guesses)
    }
}

impl Attempt<'_> {
    /// Notes whether the password was right. Returns the count that reached its limit with this attempt.
    pub(super) fn end(mut self, right: bool) -> Option<Locked> {
        self.ended = true;
        self.note(if right { Outcome::Right } else { Outcome::Wrong })
    }

    fn note(&self, outcome: Outcome) -> Option<Locked> {
        self.lock.guesses().end(self.now, self.name, self.origin, outcome)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.note(Outcome::Unchecked);
        }
    }
}

/// The key of an account in the table. Without an account it is a digest of what was typed, so that the lock does not reveal
/// which accounts exist.
pub(super) fn name_of(account: Option<PeerId>, typed: &str) -> Name {
    let digest = || {
        let digest: [u8; 32] = Sha256::digest(typed.as_bytes()).into();
        std::array::from_fn(|at| digest[at])
    };
    account.map_or_else(digest, |id| id.0)
}

#[cfg(test)]
mod tests {
    use peernet_engine::guesses::{ORIGIN, PAIR, TOGETHER_MAX};

    use super::*;

    #[test]
    fn a_dropped_attempt_counts_for_nothing_and_a_wrong_one_counts() {
        let lock = Lock::default();
        let now = UnixMillis(1_800_000_000_000);
        let name = name_of(None, "h:1");
        for _ in 0..40 {
            drop(lock.begin(now, name, None).expect("nothing is counted"));
        }
        let locked: Vec<_> = (0..5).filter_map(|_| lock.begin(now, name, None).expect("free").end(false)).collect();
        assert_eq!(locked, [Locked::Pair]);
        let wait = lock.begin(now, name, None).expect_err("is locked");
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert!(lock.begin(now, name_of(None, "h:2"), None).is_ok());
    }

    #[test]
    fn without_addresses_guesses_delay_only_their_account() {
        let lock = Lock::default();
        let now = UnixMillis(1_800_000_000_000);
        for account in 0..100 {
            let name = name_of(Some(PeerId([account; 16])), "");
            for _ in 0..5 {
                lock.begin(now, name, None).expect("free").end(false);
            }
            assert!(lock.begin(now, name, None).is_err());
        }
        assert!(lock.begin(now, name_of(Some(PeerId([200; 16])), ""), None).is_ok());
    }

    #[test]
    fn an_account_is_one_name_however_it_was_typed() {
        let id = PeerId([7; 16]);
        assert_eq!(name_of(Some(id), "h:1"), name_of(Some(id), &id.to_string()));
        assert_ne!(name_of(None, "h:1"), name_of(None, "h:2"));
    }

    fn now_at(ms: i64) -> UnixMillis {
        UnixMillis(1_800_000_000_000 + ms)
    }

    fn host(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, n]))
    }

    #[test]
    fn waits_double_up_to_their_bound_and_are_forgotten() {
        let lock = Lock::default();
        let name = name_of(None, "h:1");
        let mut ms = 0;
        for _ in 0..PAIR.free {
            assert_eq!(lock.begin(now_at(ms), name, host(1)).map(|_| ()), Ok(()), "is free");
            lock.begin(now_at(ms), name, host(1)).expect("is free").end(false);
        }
        for doublings in 0..14 {
            let expected = (PAIR.first * 2_u32.pow(doublings)).min(PAIR.most);
            assert_eq!(lock.begin(now_at(ms), name, host(1)).map(|_| ()), Err(expected), "{doublings}");
            ms += i64::try_from(expected.as_millis()).expect("fits");
            lock.begin(now_at(ms), name, host(1)).expect("has waited").end(false);
        }
        ms += i64::try_from(PAIR.forgotten_after.as_millis()).expect("fits");
        for _ in 0..PAIR.free {
            lock.begin(now_at(ms), name, host(1)).expect("is free again").end(false);
        }
        assert_eq!(lock.begin(now_at(ms), name, host(1)).map(|_| ()), Err(PAIR.first));
    }

    #[test]
    fn an_owner_gets_in_while_other_addresses_guess() {
        let lock = Lock::default();
        let name = name_of(Some(PeerId([1; 16])), "");
        let wrong = (0..200).filter_map(|n| Some(lock.begin(now_at(0), name, host(n)).ok()?.end(false)));
        assert!(wrong.flatten().any(|locked| locked == Locked::Account), "the account is locked");
        assert_eq!(lock.begin(now_at(0), name, host(201)).expect("a first try").end(true), None);
    }

    #[test]
    fn one_address_that_guesses_everywhere_is_slowed() {
        let lock = Lock::default();
        let name = |n: u8| name_of(Some(PeerId([n; 16])), "");
        lock.begin(now_at(0), name(200), host(1)).expect("free").end(true);
        let locked = (0..ORIGIN.free).map(|n| {
            let name = name(u8::try_from(n).expect("fits"));
            lock.begin(now_at(0), name, host(1)).expect("free").end(false)
        });
        assert_eq!(locked.flatten().collect::<Vec<_>>(), [Locked::Origin]);
        assert!(lock.begin(now_at(0), name(100), host(1)).is_err());
        assert!(lock.begin(now_at(0), name(100), host(2)).is_ok(), "another address");
        assert!(lock.begin(now_at(0), name(200), host(1)).is_ok(), "an account of that address");
    }

    #[test]
    fn attempts_at_the_same_time_are_bounded() {
        let lock = Lock::default();
        let name = name_of(None, "h:1");
        let mut open: Vec<_> =
            (0..TOGETHER_MAX).map(|_| lock.begin(now_at(0), name, host(1)).expect("has room")).collect();
        assert_eq!(lock.begin(now_at(0), name, host(1)).map(|_| ()), Err(PAIR.first));
        drop(open.pop());
        assert!(lock.begin(now_at(0), name, host(1)).is_ok(), "one has ended");
    }
}
