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
mod tests {
    use super::*;

    const OWNER: Name = [1; 16];
    const HOME: Origin = [10; 16];

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(1_800_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn origin(number: u32) -> Origin {
        let mut origin = [0xee; 16];
        origin[..4].copy_from_slice(&number.to_be_bytes());
        origin
    }

    /// One try that is checked at once.
    fn attempt(guesses: &mut Guesses, now: UnixMillis, name: Name, from: Origin, outcome: Outcome) -> Result<(), u64> {
        guesses.begin(now, name, from).map_err(|wait| wait.as_secs())?;
        guesses.end(now, name, from, outcome);
        Ok(())
    }

    #[test]
    fn after_five_wrong_passwords_the_wait_doubles_to_15_minutes() {
        let mut guesses = Guesses::default();
        let mut now = 0;
        for _ in 0..5 {
            assert_eq!(attempt(&mut guesses, at(now), OWNER, HOME, Outcome::Wrong), Ok(()));
        }
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
            assert_eq!(attempt(&mut guesses, at(now), OWNER, HOME, Outcome::Right), Err(wait), "right or not");
            now += wait;
            assert_eq!(attempt(&mut guesses, at(now), OWNER, HOME, Outcome::Wrong), Ok(()));
        }
    }

    #[test]
    fn a_right_password_and_an_hour_of_quiet_start_the_count_anew() {
        let mut guesses = Guesses::default();
        for _ in 0..4 {
            attempt(&mut guesses, at(0), OWNER, HOME, Outcome::Wrong).expect("free");
        }
        attempt(&mut guesses, at(0), OWNER, HOME, Outcome::Right).expect("free");
        for _ in 0..5 {
            attempt(&mut guesses, at(1), OWNER, HOME, Outcome::Wrong).expect("free again");
        }
        assert_eq!(attempt(&mut guesses, at(1), OWNER, HOME, Outcome::Wrong), Err(1));
        for _ in 0..5 {
            attempt(&mut guesses, at(3_601), OWNER, HOME, Outcome::Wrong).expect("forgotten");
        }
    }

    #[test]
    fn the_owner_gets_in_while_a_thousand_addresses_guess() {
        let mut guesses = Guesses::default();
        for second in 0..2_000 {
            for bot in 0..20 {
                let _refused =
                    attempt(&mut guesses, at(second), OWNER, origin(bot * 50 + second as u32 % 50), Outcome::Wrong);
            }
            let fresh = origin(1_000_000 + second as u32);
            assert_eq!(attempt(&mut guesses, at(second), OWNER, fresh, Outcome::Right), Ok(()), "at {second}");
        }
    }

    #[test]
    fn many_addresses_together_are_slowed_at_one_account() {
        let mut guesses = Guesses::default();
        let mut wrong = 0;
        for second in 0..3_600 {
            for bot in 0..100 {
                wrong += u32::from(attempt(&mut guesses, at(second), OWNER, origin(bot), Outcome::Wrong).is_ok());
            }
        }
        // One free try for each address, some more before the count holds, and then the slow rule's.
        assert!((100..200).contains(&wrong), "{wrong}");
    }

    #[test]
    fn an_address_that_tries_every_account_is_slowed() {
        let mut guesses = Guesses::default();
        attempt(&mut guesses, at(0), OWNER, HOME, Outcome::Right).expect("the first");
        let mut wrong = 0;
        for second in 0..3_600_u64 {
            for round in 0..10_u64 {
                let mut name = [7; 16];
                name[..8].copy_from_slice(&(second * 10 + round).to_be_bytes());
                wrong += u32::from(attempt(&mut guesses, at(second), name, HOME, Outcome::Wrong).is_ok());
            }
            assert_eq!(attempt(&mut guesses, at(second), OWNER, HOME, Outcome::Right), Ok(()), "at {second}");
        }
        assert!((50..200).contains(&wrong), "{wrong}");
    }

    #[test]
    fn concurrent_attempts_are_bounded_before_they_count() {
        let mut guesses = Guesses::default();
        let begun = (0..100).filter(|_| guesses.begin(at(0), OWNER, HOME).is_ok()).count();
        assert_eq!(begun as u32, TOGETHER_MAX);
        for _ in 0..begun {
            guesses.end(at(0), OWNER, HOME, Outcome::Wrong);
        }
        assert!(guesses.begin(at(1), OWNER, HOME).is_err());
        let later = at(2_000);
        assert!(guesses.begin(later, OWNER, HOME).is_ok());
        assert!(guesses.begin(later, OWNER, HOME).is_err(), "where the count holds, one at a time");
    }

    #[test]
    fn unchecked_attempts_cost_nothing_and_a_lock_is_noted_once() {
        let mut guesses = Guesses::default();
        for _ in 0..20 {
            attempt(&mut guesses, at(0), OWNER, HOME, Outcome::Unchecked).expect("costs nothing");
        }
        let mut told = Vec::new();
        for second in [0, 0, 0, 0, 0, 10, 20] {
            guesses.begin(at(second), OWNER, HOME).expect("waited long enough");
            told.extend(guesses.end(at(second), OWNER, HOME, Outcome::Wrong));
        }
        assert_eq!(told, [Locked::Pair]);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_wait_longer() {
        let mut guesses = Guesses::default();
        for _ in 0..5 {
            attempt(&mut guesses, at(1_000_000), OWNER, HOME, Outcome::Wrong).expect("free");
        }
        assert_eq!(attempt(&mut guesses, at(0), OWNER, HOME, Outcome::Right), Err(1));
        assert_eq!(attempt(&mut guesses, at(1), OWNER, HOME, Outcome::Right), Ok(()));
    }

    #[test]
    fn the_tables_are_bounded() {
        let mut guesses = Guesses::default();
        for number in 0..(ROWS_MAX as u32 + 500) {
            // Two a second: the row of an address or account is forgotten after an hour.
            attempt(&mut guesses, at(u64::from(number / 100)), OWNER, origin(number), Outcome::Wrong)
                .expect("the first");
        }
        assert!(guesses.pairs.counts.len() <= ROWS_MAX && guesses.origins.counts.len() <= ROWS_MAX);
        assert!(guesses.rows() <= 2 * ROWS_MAX + 1);
    }
}
