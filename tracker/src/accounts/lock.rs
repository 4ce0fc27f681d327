//! The lock on guessing passwords as requests meet it: one small table behind a mutex, which costs nothing beside bcrypt.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peernet_engine::guesses::{Guesses, Locked, Name, Origin, Outcome};
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use sha2::{Digest as _, Sha256};

use crate::api::ApiError;
use crate::limits::client_key;

/// The counts of wrong passwords.
#[derive(Debug, Default)]
pub(super) struct Lock {
    guesses: Mutex<Guesses>,
}

/// A try that was let through. Dropped without [`Attempt::end`] it was not checked.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    lock: &'a Lock,
    name: Name,
    origin: Origin,
    now: UnixMillis,
    ended: bool,
}

impl Lock {
    /// Lets a try through; 429 `too_many_attempts` with the wait. Without an address each account counts by itself: what one guesser does
    /// to one account must not hold up everybody behind the same proxy.
    pub(super) fn begin(&self, now: UnixMillis, name: Name, remote: Option<IpAddr>) -> Result<Attempt<'_>, ApiError> {
        let origin = remote.map_or(name, client_key);
        let refused = |wait| ApiError::too_many("too_many_attempts", "too many wrong passwords", wait);
        self.guesses().begin(now, name, origin).map_err(refused)?;
        Ok(Attempt { lock: self, name, origin, now, ended: false })
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Says whether the password was right; answers which count began to hold with it.
    pub(super) fn end(mut self, right: bool) -> Option<Locked> {
        self.ended = true;
        self.tell(if right { Outcome::Right } else { Outcome::Wrong })
    }

    fn tell(&self, outcome: Outcome) -> Option<Locked> {
        self.lock.guesses().end(self.now, self.name, self.origin, outcome)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.tell(Outcome::Unchecked);
        }
    }
}

/// What stands for an account. Where there is none, what was typed stands for it, so that the lock tells nothing about accounts.
pub(super) fn name_of(account: Option<PeerId>, typed: &str) -> Name {
    let digest = || {
        let digest: [u8; 32] = Sha256::digest(typed.as_bytes()).into();
        std::array::from_fn(|at| digest[at])
    };
    account.map_or_else(digest, |id| id.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_that_is_dropped_counts_for_nothing_and_a_wrong_one_counts() {
        let lock = Lock::default();
        let now = UnixMillis(1_800_000_000_000);
        let name = name_of(None, "h:1");
        for _ in 0..40 {
            drop(lock.begin(now, name, None).expect("nothing is counted"));
        }
        let told: Vec<_> = (0..5).filter_map(|_| lock.begin(now, name, None).expect("free").end(false)).collect();
        assert_eq!(told, [Locked::Pair]);
        let refused = lock.begin(now, name, None).expect_err("is locked");
        assert_eq!((refused.status, refused.code, refused.retry_after_s), (429, "too_many_attempts", Some(1)));
        assert!(lock.begin(now, name_of(None, "h:2"), None).is_ok());
    }

    #[test]
    fn without_addresses_guesses_at_some_accounts_hold_up_no_other() {
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
}
