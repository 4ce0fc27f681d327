//! Opening, using again, limiting and closing tickets.

use peernet_engine::economy::{Complaints, Event, Ignored, NoTicket, Outcome, TICKET_GRACE, TICKET_LIFE, TOKEN_MT};

use super::*;

const LIFE_MS: i64 = TICKET_LIFE.as_millis() as i64;
const GRACE_MS: i64 = TICKET_GRACE.as_millis() as i64;

fn escrow(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Ticket { escrow_mt, .. } => escrow_mt,
        other => panic!("no ticket: {other:?}"),
    }
}

fn opened(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Ticket { opened: true, .. })
}

#[test]
fn escrow_prices_all_chunks_with_the_short_last_one() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    let outcome = books.open(peer(1), file(1), 3 * MIB + MIB / 2, &[peer(2)]);
    assert_eq!((opened(outcome), escrow(outcome)), (true, 3_500));
    assert_eq!(books.balance(peer(1)), 16_500);
    books.audited();
}

#[test]
fn escrow_is_at_most_the_balance_which_may_be_empty() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    assert_eq!(escrow(books.open(peer(1), file(1), 30 * MIB, &[peer(2)])), 20 * TOKEN_MT);
    assert_eq!(escrow(books.open(peer(1), file(2), 30 * MIB, &[peer(2)])), 0);
    books.audited();
}

#[test]
fn a_second_lookup_reuses_the_ticket_and_adds_up_to_50_sources() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    books.open(peer(1), file(1), MIB, &[peer(1), peer(2), peer(2)]);
    let many: Vec<PeerId> = (2..100).map(peer).collect();
    assert!(!opened(books.open(peer(1), file(1), MIB, &many)));
    let ticket = books.tickets.values().next().expect("one ticket");
    let listed: Vec<PeerId> = ticket.sources.iter().map(|source| source.peer).collect();
    assert_eq!(listed, (2..52).map(peer).collect::<Vec<_>>());
    books.audited();
}

#[test]
fn use_renews_and_tops_up_a_ticket_at_most_once_a_minute() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    assert_eq!(escrow(books.open(peer(1), file(1), 10 * MIB, &[peer(2)])), 10 * TOKEN_MT);
    books.open(peer(1), file(2), 20 * MIB, &[peer(2)]);
    books.one(success(peer(1), peer(2), file(1), &[0, 1]));
    books.one(success(peer(1), peer(2), file(2), &[0, 1, 2, 3, 4, 5, 6, 7]));
    books.ledgers.get_mut(&peer(1)).expect("registered").balance_mt += 5 * TOKEN_MT;
    books.treasury.balance_mt -= 5 * TOKEN_MT;
    for (waited_ms, escrow_mt, lived_ms) in [(0, 2_000, 0), (MINUTE_MS - 1, 2_000, 0), (1, 7_000, MINUTE_MS)] {
        books.wait(waited_ms);
        let opened_at = books.tickets.values().map(|row| row.opened_at.0).max().expect("two tickets");
        let outcome = books.open(peer(1), file(2), 20 * MIB, &[]);
        let Outcome::Ticket { expires_at, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((escrow(outcome), expires_at.0), (escrow_mt, opened_at + LIFE_MS + lived_ms));
    }
    books.audited();
}

#[test]
fn expiry_and_grace_return_what_was_not_settled() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    books.open(peer(1), file(1), 4 * MIB, &[peer(2)]);
    books.one(success(peer(1), peer(2), file(1), &[0]));
    let close = Event::CloseExpired { account: peer(1), file_hash: file(1) };
    books.wait(LIFE_MS + GRACE_MS - 1);
    assert_eq!(books.one(close.clone()), Outcome::Ignored(Ignored::NotExpired));
    assert!(matches!(books.one(success(peer(1), peer(2), file(1), &[1])), Outcome::Settled { .. }), "grace");
    books.wait(1);
    assert_eq!(books.one(success(peer(1), peer(2), file(1), &[2])), Outcome::Ignored(Ignored::NoTicket));
    assert_eq!(books.one(close.clone()), Outcome::Closed { returned_mt: 2_000 });
    assert_eq!(books.one(close), Outcome::Ignored(Ignored::NoTicket));
    assert_eq!((books.balance(peer(1)), books.tickets.len()), (18_000, 0));
    books.audited();
}

#[test]
fn a_lookup_after_the_end_replaces_the_ticket() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    books.open(peer(1), file(1), 4 * MIB, &[peer(2)]);
    books.wait(LIFE_MS + GRACE_MS);
    assert!(opened(books.open(peer(1), file(1), 4 * MIB, &[peer(2)])));
    assert_eq!((books.balance(peer(1)), books.tickets.len()), (16_000, 1));
    books.audited();
}

#[test]
fn ten_new_tickets_a_minute_and_no_more() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    let open = |books: &mut Books, n| books.open(peer(1), file(n), 1, &[peer(2)]);
    assert!((0..10).all(|n| opened(open(&mut books, n))));
    assert_eq!(open(&mut books, 10), Outcome::NoTicket(NoTicket::Limited));
    assert!(!opened(open(&mut books, 0)), "an open one is used again all the same");
    books.wait(MINUTE_MS);
    assert!(opened(open(&mut books, 10)));
    books.audited();
}

#[test]
fn sixty_four_unpaid_tickets_and_no_more() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    let open = |books: &mut Books, n| {
        books.wait(MINUTE_MS / 5);
        books.open(peer(1), file(n), 1, &[peer(2)])
    };
    assert!((0..64).all(|n| opened(open(&mut books, n))));
    assert_eq!(open(&mut books, 64), Outcome::NoTicket(NoTicket::Limited));
    books.one(success(peer(1), peer(2), file(7), &[0]));
    assert!(opened(open(&mut books, 64)), "a paid ticket makes room");
    assert_eq!(open(&mut books, 65), Outcome::NoTicket(NoTicket::Limited));
    books.audited();
}

#[test]
fn some_lookups_need_no_ticket() {
    let mut books = Books::with_accounts(Complaints::Evidence, 1);
    assert_eq!(books.open(peer(1), file(1), 0, &[]), Outcome::NoTicket(NoTicket::NothingToPay));
    assert_eq!(books.open(peer(9), file(1), 1, &[]), Outcome::NoTicket(NoTicket::UnknownAccount));
    assert!(books.tickets.is_empty());
}

#[test]
fn a_ticket_that_paid_for_everything_is_not_renewed() {
    let mut books = Books::with_accounts(Complaints::Evidence, 2);
    books.open(peer(1), file(1), MIB, &[peer(2)]);
    books.one(success(peer(1), peer(2), file(1), &[0]));
    books.wait(LIFE_MS / 2);
    books.open(peer(1), file(1), MIB, &[peer(2)]);
    books.wait(LIFE_MS / 2 + GRACE_MS);
    assert!(opened(books.open(peer(1), file(1), MIB, &[peer(2)])), "the next download is paid for again");
    books.audited();
}
