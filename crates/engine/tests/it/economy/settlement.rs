//! The effects of feedback that counts.

use peernet_engine::economy::{
    Complaints, ESTABLISHED_BONUS_MT, ESTABLISHED_SCORE, Ignored, Outcome, SUPPLY_MT, Tier, shown_score,
};

use super::*;

#[test]
fn a_success_pays_the_target_from_escrow_less_a_twentieth() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    books.open(peer(1), file(1), 2 * MIB + 1, &[peer(2)]);
    let treasury_mt = books.treasury.balance_mt;
    let outcome = books.one(success(peer(1), peer(2), file(1), &[0, 2, 2, 9]));
    assert_eq!(outcome, Outcome::Settled { new_chunks: 2, paid_mt: 1_001, fee_mt: 51, session: true });
    let outcome = books.one(success(peer(1), peer(2), file(1), &[0, 1]));
    assert_eq!(outcome, Outcome::Settled { new_chunks: 1, paid_mt: 1_000, fee_mt: 50, session: false });
    assert_eq!(books.balance(peer(1)), 20_000 - 2_001);
    assert_eq!(books.balance(peer(2)), 20_000 + 1_900);
    assert_eq!(books.treasury.balance_mt, treasury_mt + 101);
    books.audited();
}

#[test]
fn chunks_beyond_the_escrow_are_unpaid_but_raise_the_score() {
    let mut books = Books::with_accounts(Complaints::Evidence, 3);
    books.open(peer(1), file(1), 20 * MIB, &[peer(2)]);
    books.open(peer(1), file(2), MIB, &[peer(3)]);
    let outcome = books.one(success(peer(1), peer(3), file(2), &[0]));
    assert_eq!(outcome, Outcome::Settled { new_chunks: 1, paid_mt: 0, fee_mt: 0, session: true });
    assert!((books.score(peer(3)) - 2.0 / 3.0).abs() < 1e-12);
    books.audited();
}

#[test]
fn one_reporter_counts_for_two_sessions_at_most() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    for n in 0..8 {
        books.open(peer(1), file(n), MIB, &[peer(2)]);
        books.one(success(peer(1), peer(2), file(n), &[0]));
    }
    assert!((books.score(peer(2)) - 0.75).abs() < 1e-12);
    books.audited();
}

#[test]
fn the_first_time_an_account_is_established_it_gets_80_tokens() {
    let mut books = Books::with_accounts(Complaints::Evidence, 3);
    books.serve_others(peer(1), 1);
    assert_eq!(books.balance(peer(1)), 20_950);
    books.serve_others(peer(1), 1);
    books.open(peer(2), file(1), MIB, &[peer(1)]);
    books.one(success(peer(2), peer(1), file(1), &[0]));
    assert_eq!(books.ledgers[&peer(1)].standing(books.now).tier, Tier::Established);
    let balance_mt = books.balance(peer(1));
    assert!(balance_mt > 20_000 + ESTABLISHED_BONUS_MT);
    books.wait(60 * DAY_MS);
    assert_eq!(books.ledgers[&peer(1)].standing(books.now).tier, Tier::Unknown);
    for n in 10..14 {
        books.open(peer(3), file(n), MIB, &[peer(1)]);
        books.one(success(peer(3), peer(1), file(n), &[0]));
    }
    assert_eq!(books.ledgers[&peer(1)].standing(books.now).tier, Tier::Established);
    assert!(books.balance(peer(1)) < balance_mt + ESTABLISHED_BONUS_MT / 2, "once");
    books.audited();
}

#[test]
fn a_complaint_demotes_its_target_for_12_hours_or_a_week() {
    for (first, second, hours) in
        [(false, None, 12), (true, None, 168), (false, Some(true), 168), (true, Some(false), 168)]
    {
        let mut books = Books::with_accounts(Complaints::Evidence, 2);
        books.open(peer(1), file(1), MIB, &[peer(2)]);
        assert_eq!(books.one(failure(peer(1), peer(2), file(1), first)), Outcome::Complained { fined_mt: 0 });
        if let Some(garbage) = second {
            books.one(failure(peer(1), peer(2), file(1), garbage));
        }
        let until = books.pairs[&(peer(1), peer(2))].demoted_until;
        assert_eq!(until.0 - books.now.0, hours * HOUR_MS, "{first} {second:?}");
        books.audited();
    }
}

#[test]
fn a_failure_counts_once_per_ticket_and_target_in_six_hours() {
    let mut books = Books::with_accounts(Complaints::Bounded, 2);
    books.open(peer(1), file(1), MIB, &[peer(2)]);
    let report = |books: &mut Books| books.one(failure(peer(1), peer(2), file(1), false));
    assert_eq!(report(&mut books), Outcome::Complained { fined_mt: 1_000 });
    books.wait(5 * HOUR_MS);
    assert_eq!(report(&mut books), Outcome::Ignored(Ignored::Replay));
    books.open(peer(1), file(1), MIB, &[peer(2)]);
    books.wait(HOUR_MS);
    assert_eq!(report(&mut books), Outcome::Complained { fined_mt: 0 }, "a ticket's fines are a token at most");
    assert_eq!(books.balance(peer(2)), 19_000);
    books.audited();
}

#[test]
fn a_fine_takes_no_more_than_the_target_has() {
    let mut books = Books::with_accounts(Complaints::Bounded, 2);
    books.ledgers.get_mut(&peer(2)).expect("registered").balance_mt = 300;
    books.treasury.balance_mt += 19_700;
    books.open(peer(1), file(1), MIB, &[peer(2)]);
    assert_eq!(books.one(failure(peer(1), peer(2), file(1), true)), Outcome::Complained { fined_mt: 300 });
    books.audited();
}

#[test]
fn reports_of_a_root_account_count_under_both_policies() {
    for complaints in [Complaints::Bounded, Complaints::Evidence] {
        let mut books = Books::with_accounts(complaints, 2);
        books.ledgers.get_mut(&peer(1)).expect("registered").root = true;
        books.open(peer(1), file(1), MIB, &[peer(2)]);
        books.one(failure(peer(1), peer(2), file(1), true));
        assert!((books.score(peer(2)) - 1.0 / 6.0).abs() < 1e-12);
        assert_eq!(books.ledgers[&peer(2)].standing(books.now).tier, Tier::Unlisted);
        books.audited();
    }
}

#[test]
fn without_a_root_account_a_complaint_does_what_the_policy_says() {
    for (complaints, score, fined_mt) in [(Complaints::Evidence, 0.5, 0), (Complaints::Bounded, 0.4, 1_000)] {
        let mut books = Books::with_accounts(complaints, 2);
        books.open(peer(1), file(1), MIB, &[peer(2)]);
        assert_eq!(books.one(failure(peer(1), peer(2), file(1), true)), Outcome::Complained { fined_mt });
        assert_eq!(shown_score(books.score(peer(2))), score);
        books.audited();
    }
}

#[test]
fn a_complaint_that_nobody_paid_for_is_no_hearsay() {
    let mut books = Books::with_accounts(Complaints::Bounded, 3);
    books.open(peer(1), file(1), 20 * MIB, &[peer(3)]);
    books.open(peer(1), file(2), MIB, &[peer(2)]);
    books.one(failure(peer(1), peer(2), file(2), false));
    assert_eq!(books.score(peer(2)), 0.5);
    books.audited();
}

#[test]
fn hearsay_leaves_an_established_account_established() {
    let mut books = Books::with_accounts(Complaints::Bounded, 60);
    books.serve_others(peer(1), 12);
    for n in 2..=60 {
        books.open(peer(n), file(1), MIB, &[peer(1)]);
        books.one(failure(peer(n), peer(1), file(1), true));
    }
    assert_eq!(books.score(peer(1)), ESTABLISHED_SCORE);
    assert_eq!(books.ledgers[&peer(1)].standing(books.now).tier, Tier::Established);
    books.audited();
}

#[test]
fn the_books_of_a_day_add_up_to_the_supply() {
    let mut books = Books::with_accounts(Complaints::Evidence, 3);
    books.open(peer(1), file(1), 5 * MIB, &[peer(2), peer(3)]);
    books.one(success(peer(1), peer(2), file(1), &[0, 1]));
    books.one(success(peer(1), peer(3), file(1), &[2]));
    let balances: i64 = books.ledgers.values().map(|row| row.balance_mt).sum();
    let escrow: i64 = books.tickets.values().map(|row| row.escrow_mt).sum();
    assert_eq!(escrow, 2_000);
    assert_eq!(balances + escrow + books.treasury.balance_mt, SUPPLY_MT);
}
