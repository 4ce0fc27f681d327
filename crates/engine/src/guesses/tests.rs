//! The lock on guessing, on virtual time.

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
        attempt(&mut guesses, at(u64::from(number / 100)), OWNER, origin(number), Outcome::Wrong).expect("the first");
    }
    assert!(guesses.pairs.counts.len() <= ROWS_MAX && guesses.origins.counts.len() <= ROWS_MAX);
    assert!(guesses.rows() <= 2 * ROWS_MAX + 1);
}
