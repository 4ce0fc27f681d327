//! The audit finds every broken invariant: each is broken here by hand, in rows that were sound.

use peernet_engine::economy::{FINES_PER_TICKET_MT, Violation, audit_ledger, audit_ticket};

use super::*;

/// Books in which two accounts traded a chunk.
fn traded() -> Books {
    let mut books = Books::with_accounts(Complaints::Evidence, 3);
    books.open(peer(1), file(1), 3 * MIB, &[peer(2)]);
    books.one(success(peer(1), peer(2), file(1), &[0]));
    books.audited();
    books
}

/// Breaks sound books, and returns what the audit finds.
fn broken(break_it: impl FnOnce(&mut Books)) -> Vec<Violation> {
    let mut books = traded();
    break_it(&mut books);
    let ledgers: Vec<LedgerRow> = books.ledgers.values().cloned().collect();
    let tickets: Vec<TicketRow> = books.tickets.values().cloned().collect();
    let pairs: Vec<PairRow> = books.pairs.values().cloned().collect();
    audit(&books.treasury, &ledgers, &tickets, &pairs).expect_err("the invariant is broken")
}

fn ledger(books: &mut Books, n: u8) -> &mut LedgerRow {
    books.ledgers.get_mut(&peer(n)).expect("the account exists")
}

fn ticket(books: &mut Books) -> &mut TicketRow {
    books.tickets.values_mut().next().expect("one ticket is open")
}

#[test]
fn money_that_appears_or_vanishes_is_found() {
    assert!(broken(|books| books.treasury.balance_mt += 1).iter().any(|found| matches!(found, Violation::Supply(_))));
    assert!(broken(|books| ledger(books, 1).balance_mt -= 1).iter().any(|found| matches!(found, Violation::Supply(_))));
    assert!(
        broken(|books| ledger(books, 3).balance_mt += 1_000).iter().any(|found| matches!(found, Violation::Supply(_)))
    );
}

#[test]
fn negative_amounts_are_found() {
    let found = broken(|books| {
        let all = ledger(books, 3).balance_mt;
        ledger(books, 3).balance_mt = -1;
        ledger(books, 1).balance_mt += all + 1;
    });
    assert!(found.contains(&Violation::NegativeBalance(peer(3))), "{found:?}");
    let found = broken(|books| {
        let all = books.treasury.balance_mt;
        books.treasury.balance_mt = -1;
        ledger(books, 1).balance_mt += all + 1;
    });
    assert!(found.contains(&Violation::NegativeTreasury), "{found:?}");
}

#[test]
fn impossible_scores_and_masses_are_found() {
    assert!(broken(|books| ledger(books, 2).score = 1.5).contains(&Violation::Score(peer(2))));
    assert!(broken(|books| ledger(books, 2).score = f64::NAN).contains(&Violation::Score(peer(2))));
    assert!(broken(|books| ledger(books, 2).score += 0.01).contains(&Violation::StoredScore(peer(2))));
    assert!(broken(|books| ledger(books, 2).masses.sessions = -1.0).contains(&Violation::Mass(peer(2))));
    assert!(broken(|books| ledger(books, 2).masses.garbage = f64::NAN).contains(&Violation::Mass(peer(2))));
}

#[test]
fn tickets_that_pay_too_much_are_found() {
    let id = |books: &mut Books| ticket(books).id;
    let expected = Violation::Ticket(id(&mut traded()));
    assert!(broken(|books| ticket(books).fined_mt = FINES_PER_TICKET_MT + 1).contains(&expected));
    assert!(broken(|books| ticket(books).paid_mt = -1).contains(&expected));
    let found = broken(|books| {
        ticket(books).escrow_mt += 5_000;
        ledger(books, 1).balance_mt -= 5_000;
    });
    assert!(found.contains(&expected), "more escrow than the chunks cost");
}

#[test]
fn accounts_that_deal_with_themselves_are_found() {
    let found = broken(|books| {
        let mut source = ticket(books).sources[0];
        source.peer = peer(1);
        ticket(books).sources.push(source);
    });
    assert!(found.contains(&Violation::SelfDealing(peer(1))), "{found:?}");
    let twice = broken(|books| {
        let source = ticket(books).sources[0];
        ticket(books).sources.push(source);
    });
    assert!(twice.contains(&Violation::SelfDealing(peer(1))), "a source that is listed twice: {twice:?}");
}

#[test]
fn rows_without_their_account_are_found() {
    let found = broken(|books| {
        let row = books.ledgers.remove(&peer(3)).expect("the account exists");
        books.treasury.balance_mt += row.balance_mt;
        books.pairs.insert((peer(3), peer(2)), PairRow::new(peer(3), peer(2)));
    });
    assert!(found.contains(&Violation::Orphan(peer(3))), "{found:?}");
    assert!(broken(|books| ledger(books, 1).tickets_open += 1).contains(&Violation::TicketsOpen(peer(1))));
}

#[test]
fn single_rows_can_be_audited_alone() {
    let mut books = traded();
    let pairs = |books: &Books| -> Vec<PairRow> {
        books.pairs.values().filter(|pair| pair.target == peer(2)).cloned().collect()
    };
    let evidence = pairs(&books);
    assert_eq!(audit_ledger(&books.ledgers[&peer(2)], &evidence), []);
    assert_eq!(audit_ticket(ticket(&mut books)), []);
    ledger(&mut books, 2).balance_mt = -1;
    assert_eq!(audit_ledger(&books.ledgers[&peer(2)], &evidence), [Violation::NegativeBalance(peer(2))]);
    ticket(&mut books).escrow_mt = -1;
    assert!(matches!(audit_ticket(ticket(&mut books))[..], [Violation::Ticket(_), ..]));
}
