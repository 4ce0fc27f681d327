//! The lock on password guessing. Waits grow with each wrong password and never shut the owner out.
//!
//! Three counts of wrong passwords are kept. The count of one address at one account is strict. The count of one
//! account slows many addresses that guess at it. It holds only for an address that was wrong there itself, so the
//! owner gets in at the first try however many others guess. The count of one address at all accounts slows a client
//! that tries one password everywhere. It does not hold where that address has logged in before.
//!
//! Everything is in memory, bounded, and forgotten after quiet time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::UnixMillis;

/// The key of an account. Without an account it stands for the text that was typed, so that the lock does not reveal
/// which accounts exist.
pub type Name = [u8; 16];
/// The key of a client's address.
pub type Origin = [u8; 16];

/// The rule of a count: when it starts to hold, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The number of wrong passwords without a wait.
    pub free: u32,
    /// The wait after the last free one; it doubles with each further wrong password.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// The time without a wrong password after which the count restarts. Longer than `most`.
    pub forgotten_after: Duration,
}

const HOUR: Duration = Duration::from_secs(3_600);

/// The rule for one address at one account.
pub const PAIR: Rule =
    Rule { free: 5, first: Duration::from_secs(1), most: Duration::from_secs(15 * 60), forgotten_after: HOUR };
/// The rule for one account from any address.
pub const ACCOUNT: Rule =
    Rule { free: 50, first: Duration::from_secs(1), most: Duration::from_secs(5 * 60), forgotten_after: HOUR };
/// The rule for one address at all accounts; many people may share an address.
pub const ORIGIN: Rule =
    Rule { free: 50, first: Duration::from_secs(1), most: Duration::from_secs(60), forgotten_after: HOUR };

/// The most attempts of one address at one account that are checked at the same time: concurrent attempts are not
/// counted yet.
pub const TOGETHER_MAX: u32 = 16;
/// The time for which a successful login is remembered.
pub const KNOWN_FOR: Duration = Duration::from_secs(30 * 86_400);
/// The most rows of each table; past it the oldest go. Filling a table takes longer than forgetting its rows, because
/// each row costs its client a password check.
pub const ROWS_MAX: usize = 65_536;

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The password was right.
    Right,
    /// The password was wrong, or the account does not exist.
    Wrong,
    /// The password was not checked.
    Unchecked,
}

/// The count that started to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// The count of one address at one account.
    Pair,
    /// The count of an account.
    Account,
    /// The count of an address.
    Origin,
}

/// One address at one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    name: Name,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    wrong: u32,
    last_at: UnixMillis,
    under_way: u32,
}

impl Count {
    /// Restarts the count when its time is over, and when the clock was set back.
    fn refresh(&mut self, now: UnixMillis, rule: &Rule) {
        self.last_at = self.last_at.min(now);
        if now.since(self.last_at) >= rule.forgotten_after {
            self.wrong = 0;
        }
    }

    fn holds(&self, rule: &Rule) -> bool {
        self.wrong >= rule.free
    }

    fn wait(&self, now: UnixMillis, rule: &Rule) -> Duration {
        if !self.holds(rule) {
            return Duration::ZERO;
        }
        let doublings = 1_u32.checked_shl(self.wrong - rule.free).unwrap_or(u32::MAX);
        rule.first.saturating_mul(doublings).min(rule.most).saturating_sub(now.since(self.last_at))
    }
}

/// A table of counts by key.
#[derive(Debug)]
struct Table<K> {
    rule: Rule,
    counts: BTreeMap<K, Count>,
}

impl<K: Ord + Copy> Table<K> {
    fn new(rule: Rule) -> Self {
        Self { rule, counts: BTreeMap::new() }
    }

    fn find(&mut self, now: UnixMillis, key: K) -> Count {
        let rule = self.rule;
        self.counts.get_mut(&key).map_or_else(Count::default, |count| {
            count.refresh(now, &rule);
            *count
        })
    }

    fn wait(&mut self, now: UnixMillis, key: K) -> Duration {
        self.find(now, key).wait(now, &self.rule)
    }

    /// The row of a key; inserted if there is none, with room made for it.
    fn row(&mut self, now: UnixMillis, key: K) -> &mut Count {
        if self.counts.len() >= ROWS_MAX && !self.counts.contains_key(&key) {
            self.make_room(now);
        }
        self.counts.entry(key).or_insert(Count { last_at: now, ..Count::default() })
    }

    fn make_room(&mut self, now: UnixMillis) {
        let forgotten = |count: &Count| count.last_at <= now && now.since(count.last_at) >= self.rule.forgotten_after;
        self.counts.retain(|_, count| count.under_way > 0 || !forgotten(count));
        if self.counts.len() >= ROWS_MAX {
            let oldest =
                self.counts.iter().min_by_key(|(_, count)| (count.under_way, count.last_at)).map(|(key, _)| *key);
            oldest.map(|key| self.counts.remove(&key));
        }
    }

    /// While the count holds, each attempt restarts the wait, so that one of many concurrent attempts is let through.
    fn admit(&mut self, now: UnixMillis, key: K) {
        if let Some(count) = self.counts.get_mut(&key)
            && count.holds(&self.rule)
        {
            count.last_at = now;
        }
    }

    /// Counts a wrong password. Returns whether the count starts to hold with it.
    fn count_wrong(&mut self, now: UnixMillis, key: K) -> bool {
        let rule = self.rule;
        let count = self.row(now, key);
        count.refresh(now, &rule);
        (count.wrong, count.last_at) = (count.wrong.saturating_add(1), now);
        count.wrong == rule.free
    }
}

/// The lock; see the module. Call [`Guesses::end`] once for each [`Guesses::begin`] that let an attempt through.
#[derive(Debug)]
pub struct Guesses {
    pairs: Table<Pair>,
    accounts: Table<Name>,
    origins: Table<Origin>,
    known: BTreeMap<Pair, UnixMillis>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            pairs: Table::new(PAIR),
            accounts: Table::new(ACCOUNT),
            origins: Table::new(ORIGIN),
            known: BTreeMap::new(),
        }
    }
}

impl Guesses {
    /// Lets an attempt through, or returns how long to wait.
    pub fn begin(&mut self, now: UnixMillis, name: Name, origin: Origin) -> Result<(), Duration> {
        let pair = self.pairs.find(now, Pair { name, origin });
        let known = self.knows(now, Pair { name, origin });
        let mut wait = pair.wait(now, &PAIR);
        if !known {
            wait = wait.max(self.origins.wait(now, origin));
        }
        let subject_to_account = !known && pair.wrong > 0;
        if subject_to_account {
            wait = wait.max(self.accounts.wait(now, name));
        }
        if pair.under_way >= TOGETHER_MAX {
            wait = wait.max(PAIR.first);
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        self.pairs.admit(now, Pair { name, origin });
        if !known {
            self.origins.admit(now, origin);
        }
        if subject_to_account {
            self.accounts.admit(now, name);
        }
        self.pairs.row(now, Pair { name, origin }).under_way += 1;
        Ok(())
    }

    /// Notes the outcome of an attempt. Returns the count that starts to hold with it.
    pub fn end(&mut self, now: UnixMillis, name: Name, origin: Origin, outcome: Outcome) -> Option<Locked> {
        let pair = self.pairs.row(now, Pair { name, origin });
        pair.under_way = pair.under_way.saturating_sub(1);
        match outcome {
            Outcome::Unchecked => None,
            Outcome::Right => {
                pair.wrong = 0;
                self.remember(now, Pair { name, origin });
                None
            }
            Outcome::Wrong => {
                let pair = self.pairs.count_wrong(now, Pair { name, origin }).then_some(Locked::Pair);
                let account = self.accounts.count_wrong(now, name).then_some(Locked::Account);
                let origin = self.origins.count_wrong(now, origin).then_some(Locked::Origin);
                account.or(origin).or(pair)
            }
        }
    }

    /// The number of rows in memory, all tables together.
    pub fn rows(&self) -> usize {
        self.pairs.counts.len() + self.accounts.counts.len() + self.origins.counts.len() + self.known.len()
    }

    fn knows(&self, now: UnixMillis, pair: Pair) -> bool {
        self.known.get(&pair).is_some_and(|at| now.since(*at) < KNOWN_FOR)
    }

    fn remember(&mut self, now: UnixMillis, pair: Pair) {
        if self.known.len() >= ROWS_MAX && !self.known.contains_key(&pair) {
            let oldest = self.known.iter().min_by_key(|(_, at)| **at).map(|(pair, _)| *pair);
            oldest.map(|pair| self.known.remove(&pair));
        }
        self.known.insert(pair, now);
    }
}

#[cfg(test)]
mod tests;
