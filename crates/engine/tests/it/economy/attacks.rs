//! Attacks that worked against plain counting of feedback: each must move nothing, or no more than the rules say.

use peernet_engine::economy::{Complaints, Event, Ignored, Outcome, TOKEN_MT};
use peernet_engine::ids::ChunkIndex;

use super::*;

/// Sends `events` in batches of 1,000 and demands that each is ignored for `reason` and no row changes.
fn check_ignored(books: &Books, events: &[Event], reason: Ignored) {
    for batch in events.chunks(1_000) {
        let (outcomes, changes) = books.attempt(batch);
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Ignored(reason)), "{reason:?}: {outcomes:?}");
        assert!(changes.is_empty(), "{reason:?}: {changes:?}");
    }
}

/// Account 1 has a ticket that lists account 2, of which chunk 0 is paid and one complaint is made.
fn busy(complaints: Complaints) -> Books {
    let mut books = Books::with_accounts(complaints, 3);
    books.open(peer(1), file(1), 4 * MIB, &[peer(2)]);
    books.one(success(peer(1), peer(2), file(1), &[0]));
    books.one(failure(peer(1), peer(2), file(1), true));
    books
}

fn repeat(event: Event) -> Vec<Event> {
    vec![event; 10_000 / 4]
}

#[test]
fn ten_thousand_reports_without_standing_move_nothing() {
    for complaints in [Complaints::Bounded, Complaints::Evidence] {
        let books = busy(complaints);
        for (reason, reporter, target, file_hash) in [
            (Ignored::SelfReport, peer(1), peer(1), file(1)),
            (Ignored::Replay, peer(1), peer(2), file(1)),
            (Ignored::NoTicket, peer(3), peer(2), file(1)),
            (Ignored::NoTicket, peer(1), peer(2), file(9)),
            (Ignored::UnknownTarget, peer(1), peer(9), file(1)),
            (Ignored::UnknownReporter, peer(9), peer(2), file(1)),
            (Ignored::NotListed, peer(1), peer(3), file(1)),
        ] {
            check_ignored(&books, &repeat(success(reporter, target, file_hash, &[0])), reason);
            check_ignored(&books, &repeat(failure(reporter, target, file_hash, true)), reason);
        }
        books.audited();
    }
}

#[test]
fn chunks_that_do_not_exist_or_were_not_held_move_nothing() {
    let books = busy(Complaints::Bounded);
    check_ignored(&books, &repeat(success(peer(1), peer(2), file(1), &[])), Ignored::NotHeld);
    check_ignored(&books, &repeat(success(peer(1), peer(2), file(1), &[4, u32::MAX])), Ignored::UnknownChunk);
    let mut other = Books::with_accounts(Complaints::Bounded, 2);
    other.open(peer(1), file(1), MIB, &[peer(2)]);
    let event = Event::Failure {
        reporter: peer(1),
        target: peer(2),
        file_hash: file(1),
        chunk: ChunkIndex(u32::MAX),
        garbage: true,
    };
    check_ignored(&other, &repeat(event), Ignored::UnknownChunk);
}

#[test]
fn slander_changes_no_score_where_anyone_may_join() {
    let mut books = Books::with_accounts(Complaints::Evidence, 60);
    books.serve_others(peer(1), 5);
    let score = books.score(peer(1));
    let balance_mt = books.balance(peer(1));
    for n in 2..=60 {
        books.open(peer(n), file(1), MIB, &[peer(1)]);
        books.one(failure(peer(n), peer(1), file(1), true));
    }
    assert_eq!((books.score(peer(1)), books.balance(peer(1))), (score, balance_mt));
    books.audited();
}

#[test]
fn a_ring_of_newcomers_gains_no_tokens_by_paying_one_another() {
    let mut books = Books::new(Complaints::Evidence);
    let ring: Vec<PeerId> = (1..=100).map(peer).collect();
    for member in &ring {
        books.register(*member);
    }
    let granted_mt: i64 = ring.iter().map(|member| books.balance(*member)).sum();
    assert_eq!(granted_mt, 100 * TOKEN_MT, "an hour's newcomers share 100 tokens");
    for (n, member) in ring.iter().enumerate() {
        let next = ring[(n + 1) % ring.len()];
        books.open(*member, file(1), 20 * MIB, &[next]);
        books.one(success(*member, next, file(1), &(0..20).collect::<Vec<_>>()));
    }
    let left_mt: i64 = ring.iter().map(|member| books.balance(*member)).sum();
    assert!(left_mt < granted_mt, "{left_mt}");
    assert!(ring.iter().all(|member| !books.ledgers[member].established_once));
    books.audited();
}

#[test]
fn the_largest_amounts_do_not_overflow() {
    let mut books = Books::with_accounts(Complaints::Bounded, 2);
    let rich = books.ledgers.get_mut(&peer(1)).expect("registered");
    rich.balance_mt += books.treasury.balance_mt;
    books.treasury.balance_mt = 0;
    let size = 16_384 * 16 * MIB;
    let chunks: Vec<u32> = (0..16_384).collect();
    books.open(peer(1), file(1), size, &[peer(2)]);
    let outcome = books.one(success(peer(1), peer(2), file(1), &chunks));
    assert_eq!(
        outcome,
        Outcome::Settled { new_chunks: 16_384, paid_mt: 262_144_000, fee_mt: 13_107_200, session: true }
    );
    books.audited();
}
