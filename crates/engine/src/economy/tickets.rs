//! Tickets: opened by lookups, renewed by use, closed after their end. Escrow moves only between a ticket and its
//! account.

use std::time::Duration;

use crate::bitmap::Bitmap;
use crate::ids::{FileHash, PeerId};
use crate::manifest::Geometry;
use crate::time::UnixMillis;

use super::event::{Ignored, NoTicket, Outcome};
use super::rows::{LedgerRow, Source, TicketId, TicketRow};
use super::rules::{LISTED_MAX, TICKET_GRACE, TICKET_LIFE, TICKET_RENEWAL_MIN, TICKETS_OPEN_MAX, TICKETS_PER_MINUTE};
use super::working_set::WorkingSet;

const MINUTE: Duration = Duration::from_secs(60);

/// A lookup's request for a ticket.
pub(super) struct Lookup<'a> {
    pub(super) account: PeerId,
    pub(super) file_hash: FileHash,
    pub(super) geometry: Geometry,
    pub(super) sources: &'a [PeerId],
    pub(super) new_id: TicketId,
}

impl WorkingSet {
    pub(super) fn open_ticket(&mut self, now: UnixMillis, lookup: &Lookup<'_>) -> Outcome {
        self.close_expired(now, lookup.account, lookup.file_hash);
        let Some(ledger) = self.ledgers.get_mut(&lookup.account) else {
            return Outcome::NoTicket(NoTicket::UnknownAccount);
        };
        let key = (lookup.account, lookup.file_hash);
        if let Some(ticket) = self.tickets.get_mut(&key) {
            ticket.list(lookup.sources);
            ticket.renew(now, ledger);
            return ticket.outcome(false);
        }
        if lookup.geometry.chunk_count().0 == 0 {
            return Outcome::NoTicket(NoTicket::NothingToPay);
        }
        if !ledger.admit_ticket(now) {
            return Outcome::NoTicket(NoTicket::Limited);
        }
        let ticket = TicketRow::open(now, lookup, ledger);
        self.tickets.entry(key).or_insert(ticket).outcome(true)
    }

    pub(super) fn close_expired(&mut self, now: UnixMillis, account: PeerId, file_hash: FileHash) -> Outcome {
        let Some(ledger) = self.ledgers.get_mut(&account) else {
            return Outcome::Ignored(Ignored::UnknownReporter);
        };
        let key = (account, file_hash);
        match self.tickets.get(&key) {
            None => return Outcome::Ignored(Ignored::NoTicket),
            Some(ticket) if ticket.settles(now) => return Outcome::Ignored(Ignored::NotExpired),
            Some(_) => {}
        }
        let ticket = self.tickets.remove(&key).expect("looked at above");
        self.closed.insert(ticket.id);
        ledger.balance_mt += ticket.escrow_mt;
        ledger.tickets_open -= i64::from(!ticket.paid.is_full());
        Outcome::Closed { returned_mt: ticket.escrow_mt }
    }
}

impl LedgerRow {
    /// Counts one more ticket, if the account may open one.
    fn admit_ticket(&mut self, now: UnixMillis) -> bool {
        let new_minute = now.since(self.minute_started_at) >= MINUTE;
        let opened = if new_minute { 0 } else { self.opened_in_minute };
        if opened >= TICKETS_PER_MINUTE || self.tickets_open >= TICKETS_OPEN_MAX {
            return false;
        }
        if new_minute {
            self.minute_started_at = now;
        }
        self.opened_in_minute = opened + 1;
        self.tickets_open += 1;
        true
    }
}

impl TicketRow {
    fn open(now: UnixMillis, lookup: &Lookup<'_>, ledger: &mut LedgerRow) -> Self {
        let mut ticket = Self {
            id: lookup.new_id,
            account: lookup.account,
            file_hash: lookup.file_hash,
            geometry: lookup.geometry,
            escrow_mt: 0,
            paid_mt: 0,
            fined_mt: 0,
            paid: Bitmap::empty(lookup.geometry.chunk_count()),
            sources: Vec::new(),
            opened_at: now,
            renewed_at: now,
            expires_at: now.plus(TICKET_LIFE),
        };
        ticket.list(lookup.sources);
        ticket.top_up(ledger);
        ticket
    }

    /// Returns true while feedback settles on the ticket.
    pub(super) fn settles(&self, now: UnixMillis) -> bool {
        now < self.expires_at.plus(TICKET_GRACE)
    }

    /// Extends its lifetime and tops up its escrow. A ticket that has paid for everything runs out, so that a later
    /// download of the same file is paid for again.
    fn renew(&mut self, now: UnixMillis, ledger: &mut LedgerRow) {
        if self.paid.is_full() || now.since(self.renewed_at) < TICKET_RENEWAL_MIN {
            return;
        }
        self.renewed_at = now;
        self.expires_at = self.expires_at.max(now.plus(TICKET_LIFE));
        self.top_up(ledger);
    }

    /// Moves the price of the unpaid chunks beyond the escrow from the account to the ticket, as far as the balance
    /// goes.
    fn top_up(&mut self, ledger: &mut LedgerRow) {
        let wanted_mt = self.unpaid_price_mt() - self.escrow_mt;
        let taken_mt = wanted_mt.min(ledger.balance_mt).max(0);
        ledger.balance_mt -= taken_mt;
        self.escrow_mt += taken_mt;
    }

    /// Adds the offered sources, each once, up to the limit; those listed first stay.
    fn list(&mut self, sources: &[PeerId]) {
        for peer in sources {
            let known = *peer == self.account || self.sources.iter().any(|source| source.peer == *peer);
            if !known && self.sources.len() < LISTED_MAX {
                self.sources.push(Source { peer: *peer, session: false, failed_at: None, garbage: false });
            }
        }
    }

    fn outcome(&self, opened: bool) -> Outcome {
        Outcome::Ticket { id: self.id, opened, escrow_mt: self.escrow_mt, expires_at: self.expires_at }
    }
}
