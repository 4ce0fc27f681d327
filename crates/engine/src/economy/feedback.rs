//! Feedback: settlements and complaints. Only feedback under a ticket changes anything.

use crate::ids::{ChunkIndex, FileHash, PeerId};
use crate::time::UnixMillis;

use super::event::{Ignored, Outcome};
use super::rows::{Masses, PairRow, Source, TicketRow};
use super::rules::{
    Complaints, DEMOTION, DEMOTION_GARBAGE, ESTABLISHED_BONUS_MT, FAILURE_SPAN, FINES_PER_TICKET_MT, Rules, fee_mt,
};
use super::score::Tier;
use super::working_set::WorkingSet;

/// The parties of a report, and its file.
#[derive(Clone, Copy)]
pub(super) struct Report {
    pub(super) reporter: PeerId,
    pub(super) target: PeerId,
    pub(super) file_hash: FileHash,
}

/// The settlement of some chunks.
struct Settlement {
    new_chunks: u32,
    paid_mt: i64,
    first_session: bool,
    filled: bool,
}

/// A failure to be counted.
#[derive(Clone, Copy)]
struct Failure {
    garbage: bool,
    price_mt: i64,
    from_root: bool,
    paying: bool,
}

impl WorkingSet {
    /// `SUCCESS_UPLOAD`: the reporter's escrow pays the target for chunks not paid yet.
    pub(super) fn success(&mut self, now: UnixMillis, report: Report, chunks: &[ChunkIndex]) -> Outcome {
        match self.ticket_for(now, report).and_then(|(ticket, at)| ticket.settle(at, chunks)) {
            Ok(settlement) => self.settle(now, report, &settlement),
            Err(reason) => Outcome::Ignored(reason),
        }
    }

    /// `FAILED_UPLOAD`: puts the target last for the reporter, and has the global effect that the rules allow.
    pub(super) fn failure(
        &mut self,
        now: UnixMillis,
        rules: &Rules,
        report: Report,
        chunk: ChunkIndex,
        garbage: bool,
    ) -> Outcome {
        let from_root = self.is_root(report.reporter);
        let (ticket, at) = match self.ticket_for(now, report) {
            Ok(found) => found,
            Err(reason) => return Outcome::Ignored(reason),
        };
        if chunk.0 >= ticket.geometry.chunk_count().0 {
            return Outcome::Ignored(Ignored::UnknownChunk);
        }
        let paying = ticket.escrow_mt + ticket.paid_mt > 0;
        let failure = Failure { garbage, price_mt: ticket.chunk_price_mt(chunk), from_root, paying };
        match ticket.sources[at].mark_failure(now, garbage) {
            Mark::Counts => self.complain(now, rules, report, failure),
            Mark::GarbageAfterAll => {
                self.demote(now, report, garbage);
                Outcome::Complained { fined_mt: 0 }
            }
            Mark::Replay => Outcome::Ignored(Ignored::Replay),
        }
    }

    /// Finds the reporter's open ticket and the target's position in it, or the reason why the report changes nothing.
    fn ticket_for(&mut self, now: UnixMillis, report: Report) -> Result<(&mut TicketRow, usize), Ignored> {
        let Report { reporter, target, file_hash } = report;
        if reporter == target {
            return Err(Ignored::SelfReport);
        }
        if !self.ledgers.contains_key(&reporter) {
            return Err(Ignored::UnknownReporter);
        }
        if !self.ledgers.contains_key(&target) {
            return Err(Ignored::UnknownTarget);
        }
        let ticket = self.tickets.get_mut(&(reporter, file_hash)).filter(|ticket| ticket.settles(now));
        let ticket = ticket.ok_or(Ignored::NoTicket)?;
        let at = ticket.sources.iter().position(|source| source.peer == target).ok_or(Ignored::NotListed)?;
        Ok((ticket, at))
    }

    fn is_root(&self, peer: PeerId) -> bool {
        self.ledgers.get(&peer).is_some_and(|row| row.root)
    }

    /// Credits a settlement to the target and the treasury, and counts the session.
    fn settle(&mut self, now: UnixMillis, report: Report, settlement: &Settlement) -> Outcome {
        let fee_mt = fee_mt(settlement.paid_mt);
        self.treasury.take_fee(fee_mt, now);
        if let Some(target) = self.ledgers.get_mut(&report.target) {
            target.balance_mt += settlement.paid_mt - fee_mt;
        }
        if let Some(reporter) = self.ledgers.get_mut(&report.reporter) {
            reporter.tickets_open -= i64::from(settlement.filled);
        }
        if settlement.first_session {
            let from_root = self.is_root(report.reporter);
            self.testify(now, report, |masses| masses.with_session(from_root));
            self.pay_bonus(report.target);
        }
        Outcome::Settled {
            new_chunks: settlement.new_chunks,
            paid_mt: settlement.paid_mt,
            fee_mt,
            session: settlement.first_session,
        }
    }

    fn complain(&mut self, now: UnixMillis, rules: &Rules, report: Report, failure: Failure) -> Outcome {
        self.demote(now, report, failure.garbage);
        let bounded = rules.complaints == Complaints::Bounded;
        if failure.from_root {
            self.testify(now, report, |masses| masses.with_root_failure(failure.garbage));
        } else if bounded && failure.paying {
            self.testify(now, report, Masses::with_hearsay);
        }
        let fined_mt = if bounded { self.fine(report, failure.price_mt) } else { 0 };
        Outcome::Complained { fined_mt }
    }

    /// Takes a chunk's price from the target, within the ticket's bound for complaints and the target's balance.
    fn fine(&mut self, report: Report, price_mt: i64) -> i64 {
        let Some(ticket) = self.tickets.get_mut(&(report.reporter, report.file_hash)) else { return 0 };
        let Some(target) = self.ledgers.get_mut(&report.target) else { return 0 };
        let fined_mt = price_mt.min(FINES_PER_TICKET_MT - ticket.fined_mt).min(target.balance_mt).max(0);
        ticket.fined_mt += fined_mt;
        target.balance_mt -= fined_mt;
        self.treasury.balance_mt += fined_mt;
        fined_mt
    }

    fn demote(&mut self, now: UnixMillis, report: Report, garbage: bool) {
        let until = now.plus(if garbage { DEMOTION_GARBAGE } else { DEMOTION });
        let pair = self.pair_mut(report);
        pair.demoted_until = pair.demoted_until.max(until);
    }

    fn pair_mut(&mut self, report: Report) -> &mut PairRow {
        let key = (report.reporter, report.target);
        self.pairs.entry(key).or_insert_with(|| PairRow::new(report.reporter, report.target))
    }

    /// Changes the weight of the reporter's evidence about the target, in the pair's row and in the target's sum alike.
    fn testify(&mut self, now: UnixMillis, report: Report, change: impl FnOnce(Masses) -> Masses) {
        let Some(sum_at) = self.ledgers.get(&report.target).map(|row| row.masses.at) else {
            return;
        };
        let pair = self.pair_mut(report);
        let moment = now.max(sum_at).max(pair.masses.at);
        let before = pair.masses.at(moment);
        let after = change(before);
        pair.masses = after;
        if let Some(target) = self.ledgers.get_mut(&report.target) {
            target.masses = target.masses.at(moment);
            target.masses.replace(&before, &after);
            target.score = target.masses.score();
        }
    }

    /// Pays the bonus to an account that is established for the first time.
    fn pay_bonus(&mut self, peer: PeerId) {
        let Some(row) = self.ledgers.get_mut(&peer) else {
            return;
        };
        if row.established_once || row.masses.standing().tier != Tier::Established {
            return;
        }
        let bonus_mt = ESTABLISHED_BONUS_MT.min(self.treasury.balance_mt);
        row.established_once = true;
        row.balance_mt += bonus_mt;
        self.treasury.balance_mt -= bonus_mt;
    }
}

impl TicketRow {
    /// Settles the new ones of `chunks` in favour of the source at `at`. Chunks beyond the escrow settle for nothing,
    /// so that free-class transfers leave a trace and no chunk is paid twice.
    fn settle(&mut self, at: usize, chunks: &[ChunkIndex]) -> Result<Settlement, Ignored> {
        if chunks.is_empty() {
            return Err(Ignored::NotHeld);
        }
        let count = self.geometry.chunk_count();
        if chunks.iter().all(|chunk| chunk.0 >= count.0) {
            return Err(Ignored::UnknownChunk);
        }
        let mut new_chunks = 0;
        let mut price_mt = 0;
        for chunk in chunks {
            if self.paid.insert(*chunk) {
                new_chunks += 1;
                price_mt += self.chunk_price_mt(*chunk);
            }
        }
        if new_chunks == 0 {
            return Err(Ignored::Replay);
        }
        let paid_mt = price_mt.min(self.escrow_mt);
        self.escrow_mt -= paid_mt;
        self.paid_mt += paid_mt;
        let first_session = !std::mem::replace(&mut self.sources[at].session, true);
        Ok(Settlement { new_chunks, paid_mt, first_session, filled: self.paid.is_full() })
    }
}

/// The kind of a failure, given the failures before it.
enum Mark {
    Counts,
    /// Counted already in this span, but known only now to be garbage.
    GarbageAfterAll,
    Replay,
}

impl Source {
    fn mark_failure(&mut self, now: UnixMillis, garbage: bool) -> Mark {
        let counted = self.failed_at.is_some_and(|at| now.since(at) < FAILURE_SPAN);
        if counted && self.garbage >= garbage {
            return Mark::Replay;
        }
        self.garbage = garbage;
        if counted {
            return Mark::GarbageAfterAll;
        }
        self.failed_at = Some(now);
        Mark::Counts
    }
}
