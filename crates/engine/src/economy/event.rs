//! The events of the ledgers, their outcomes, the rows that a batch needs, and the rows that it changed.

use std::collections::BTreeSet;

use crate::ids::{ChunkIndex, FileHash, PeerId};
use crate::manifest::Geometry;
use crate::time::UnixMillis;

use super::rows::{LedgerRow, PairRow, TicketId, TicketRow, TreasuryRow};

/// One event, as the economy's thread receives it. Its accounts were authenticated before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `account` looked a file up and was offered `sources`: opens its ticket, or uses the open one again.
    OpenTicket {
        /// The account that asked.
        account: PeerId,
        /// The file.
        file_hash: FileHash,
        /// The sizes of the file by the manifest of the answer. An open ticket keeps those that it was opened with.
        geometry: Geometry,
        /// The offered sources. The account itself is left out, and so is everything past the 50th.
        sources: Vec<PeerId>,
        /// The id of the ticket if a new one is opened: random, made by the driver.
        new_id: TicketId,
    },
    /// `SUCCESS_UPLOAD`: `reporter` reports that `target` sent it these chunks and that they verified.
    Success {
        /// The downloader.
        reporter: PeerId,
        /// The source.
        target: PeerId,
        /// The file.
        file_hash: FileHash,
        /// Only the chunks on which the target held a live lease. The driver asks the swarm index and leaves out the
        /// others. With none left the event is still valid and comes back as [`Ignored::NotHeld`].
        chunks: Vec<ChunkIndex>,
    },
    /// `FAILED_UPLOAD`: `reporter` did not get this chunk from `target`.
    Failure {
        /// The downloader.
        reporter: PeerId,
        /// The source.
        target: PeerId,
        /// The file.
        file_hash: FileHash,
        /// The chunk.
        chunk: ChunkIndex,
        /// Whether bytes arrived that did not have the chunk's hash.
        garbage: bool,
    },
    /// The maintenance found this account's ticket for this file past its expiry and grace.
    CloseExpired {
        /// The account.
        account: PeerId,
        /// The file.
        file_hash: FileHash,
    },
}

/// The outcome of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The account has a ticket for the file.
    Ticket {
        /// The id of the ticket.
        id: TicketId,
        /// Whether it is new.
        opened: bool,
        /// The milli-tokens that it holds; 0 means free class.
        escrow_mt: i64,
        /// The end of the ticket unless it is used again.
        expires_at: UnixMillis,
    },
    /// The lookup is answered without a ticket.
    NoTicket(NoTicket),
    /// Chunks were settled.
    Settled {
        /// The number of chunks that were new.
        new_chunks: u32,
        /// The milli-tokens that the reporter's escrow paid for them, fee included.
        paid_mt: i64,
        /// The treasury's part of it.
        fee_mt: i64,
        /// Whether it was the first of this (ticket, source), and so counted for the score.
        session: bool,
    },
    /// A complaint was recorded.
    Complained {
        /// The fine of the target, in milli-tokens.
        fined_mt: i64,
    },
    /// An expired ticket was closed.
    Closed {
        /// The milli-tokens that went back to its account.
        returned_mt: i64,
    },
    /// The event changed nothing.
    Ignored(Ignored),
}

/// The reason that a lookup opened no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoTicket {
    /// The account opened ten tickets in this minute, or has 64 open.
    Limited,
    /// The file has no chunks.
    NothingToPay,
    /// The account does not exist.
    UnknownAccount,
}

/// The reason that an event changed nothing; also the label of its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ignored {
    /// The reporter is the target.
    SelfReport,
    /// The reporter does not exist.
    UnknownReporter,
    /// The target does not exist.
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

/// The keys of the rows that a batch touches. Load and lock the rows that exist in this order: tickets, ledgers, pairs,
/// the treasury.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tickets by (account, file).
    pub tickets: BTreeSet<(PeerId, FileHash)>,
    /// Ledger rows by account.
    pub ledgers: BTreeSet<PeerId>,
    /// Pair rows by (reporter, target).
    pub pairs: BTreeSet<(PeerId, PeerId)>,
}

/// The rows that `events` may read or change; always the treasury row.
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

/// The rows to write, each list in key order. Delete `closed` before writing `tickets`: a closed ticket may have a
/// successor with the same (account, file).
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
    /// Returns true if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
