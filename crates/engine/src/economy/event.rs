//! What can happen to the ledgers, what came of it, which rows a batch needs and which it changed.

use std::collections::BTreeSet;

use crate::ids::{ChunkIndex, FileHash, PeerId};
use crate::manifest::Geometry;
use crate::time::UnixMillis;

use super::rows::{LedgerRow, PairRow, TicketId, TicketRow, TreasuryRow};

/// One thing that happened, as the reputation thread hears of it. Accounts are authenticated before it is queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `account` looked a file up and was offered `sources`: opens its ticket, or uses the open one again.
    OpenTicket {
        /// Who asked.
        account: PeerId,
        /// For what.
        file_hash: FileHash,
        /// The file's sizes by the manifest the answer is from. An open ticket keeps the one it was opened with.
        geometry: Geometry,
        /// Who was offered; the account itself and everything past the 50th listed is left out.
        sources: Vec<PeerId>,
        /// The name of the ticket if a new one is opened: random, made by the driver.
        new_id: TicketId,
    },
    /// `SUCCESS_UPLOAD`: `reporter` says that `target` sent it these chunks and that they verified.
    Success {
        /// Who downloaded.
        reporter: PeerId,
        /// Who uploaded.
        target: PeerId,
        /// The file.
        file_hash: FileHash,
        /// Only the chunks on which the target held a live lease: the driver asks the swarm index and leaves out the others
        /// (none left: the event is still valid and comes back as [`Ignored::NotHeld`]).
        chunks: Vec<ChunkIndex>,
    },
    /// `FAILED_UPLOAD`: `reporter` did not get this chunk from `target`.
    Failure {
        /// Who wanted it.
        reporter: PeerId,
        /// Who did not deliver.
        target: PeerId,
        /// The file.
        file_hash: FileHash,
        /// The chunk.
        chunk: ChunkIndex,
        /// Whether bytes came that did not have the chunk's hash.
        garbage: bool,
    },
    /// The sweep found this account's ticket for this file past its expiry and grace.
    CloseExpired {
        /// Whose ticket.
        account: PeerId,
        /// For which file.
        file_hash: FileHash,
    },
}

/// What came of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The account has a ticket for the file.
    Ticket {
        /// Its name.
        id: TicketId,
        /// Whether it is new.
        opened: bool,
        /// What it holds, in milli-tokens; 0 means free class.
        escrow_mt: i64,
        /// When it ends unless used again.
        expires_at: UnixMillis,
    },
    /// The lookup is answered without a ticket.
    NoTicket(NoTicket),
    /// Chunks were settled.
    Settled {
        /// How many of them were new.
        new_chunks: u32,
        /// What the reporter's escrow paid for them, fee included, in milli-tokens.
        paid_mt: i64,
        /// The treasury's part of it.
        fee_mt: i64,
        /// Whether it was the first of this (ticket, uploader), and so counted for the score.
        session: bool,
    },
    /// A complaint was recorded.
    Complained {
        /// What it cost the target, in milli-tokens.
        fined_mt: i64,
    },
    /// An expired ticket was closed.
    Closed {
        /// What went back to its account, in milli-tokens.
        returned_mt: i64,
    },
    /// Nothing moved.
    Ignored(Ignored),
}

/// Why a lookup opened no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoTicket {
    /// Ten new ones in this minute, or 64 open.
    Limited,
    /// The file has no chunks.
    NothingToPay,
    /// No such account.
    UnknownAccount,
}

/// Why an event moved nothing: the label under which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ignored {
    /// The reporter is the target.
    SelfReport,
    /// No such account reports.
    UnknownReporter,
    /// No such account is reported on.
    UnknownTarget,
    /// The reporter has no open ticket for the file.
    NoTicket,
    /// The ticket does not list the target.
    NotListed,
    /// The file has no such chunk.
    UnknownChunk,
    /// The target held no lease on any of the chunks.
    NotHeld,
    /// All of it was counted before.
    Replay,
    /// The ticket to close has not expired.
    NotExpired,
}

impl Ignored {
    /// A stable word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::SelfReport => "self_report",
            Self::UnknownReporter => "unknown_reporter",
            Self::UnknownTarget => "unknown_target",
            Self::NoTicket => "no_ticket",
            Self::NotListed => "not_listed",
            Self::UnknownChunk => "unknown_chunk",
            Self::NotHeld => "not_held",
            Self::Replay => "replay",
            Self::NotExpired => "not_expired",
        }
    }
}

/// The keys a batch touches. Load (and lock, in this order) the rows that exist: tickets, ledgers, pairs, the treasury.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tickets by (account, file).
    pub tickets: BTreeSet<(PeerId, FileHash)>,
    /// Ledger rows by account.
    pub ledgers: BTreeSet<PeerId>,
    /// Pair rows by (reporter, target).
    pub pairs: BTreeSet<(PeerId, PeerId)>,
}

/// Which rows `events` may read or change; the treasury row always.
pub fn needs(events: &[Event]) -> Needs {
    let mut needs = Needs::default();
    for event in events {
        needs.add(event);
    }
    needs
}

impl Needs {
    fn add(&mut self, event: &Event) {
        match *event {
            Event::OpenTicket { account, file_hash, .. } | Event::CloseExpired { account, file_hash } => {
                self.tickets.insert((account, file_hash));
                self.ledgers.insert(account);
            }
            Event::Success { reporter, target, file_hash, .. } | Event::Failure { reporter, target, file_hash, .. } => {
                self.tickets.insert((reporter, file_hash));
                self.ledgers.extend([reporter, target]);
                self.pairs.insert((reporter, target));
            }
        }
    }
}

/// What to write, each list in key order. Delete `closed` before writing `tickets`: a closed ticket may have a successor with
/// the same (account, file).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Tickets to delete.
    pub closed: Vec<TicketId>,
    /// Tickets to insert or overwrite, by id.
    pub tickets: Vec<TicketRow>,
    /// Ledger rows to overwrite; never a new one.
    pub ledgers: Vec<LedgerRow>,
    /// Pair rows to insert or overwrite.
    pub pairs: Vec<PairRow>,
    /// The treasury, if it changed.
    pub treasury: Option<TreasuryRow>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
