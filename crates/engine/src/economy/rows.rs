//! The rows of the two ledgers, exactly as a store keeps them.
//!
//! Every field is a number, a flag, an id or bytes, so any store can keep each kind in one table. Rows are changed only
//! through [`WorkingSet`](super::WorkingSet); stores load and save them.

use crate::bitmap::Bitmap;
use crate::ids::{ChunkIndex, FileHash, PeerId};
use crate::manifest::Geometry;
use crate::time::UnixMillis;

use super::rules::{SUPPLY_MT, price_mt};

/// The id of a ticket: 16 random bytes, made by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(pub [u8; 16]);

/// Decaying sums of evidence as they were at `at`. A pair has one (the reports of one account about another), and so
/// has an account (the field-wise sum over all its reporters). All fields are finite and at least 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Masses {
    /// Paid sessions, half-life 7 days, at most 2 per pair.
    pub sessions: f64,
    /// Proofs of fraud, half-life 7 days. Stays 0 until receipts exist.
    pub proofs: f64,
    /// Garbage seen by a root account, half-life 7 days, at most 2 per pair.
    pub garbage: f64,
    /// Other failures seen by a root account, half-life 2 days.
    pub root_failures: f64,
    /// Sessions of a root account, half-life 2 days.
    pub root_successes: f64,
    /// Unproven complaints of paying accounts, half-life 2 days, at most 1 per pair. Stays 0 under
    /// [`Complaints::Evidence`](super::Complaints::Evidence).
    pub hearsay: f64,
    /// The time of these values.
    pub at: UnixMillis,
}

/// The tokens and the score of an account: one row per account, made with it.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// The account, which is the key.
    pub peer: PeerId,
    /// Spendable milli-tokens, at least 0, without those that its tickets hold.
    pub balance_mt: i64,
    /// Whether this is a root account, whose reports count globally. Only an operator sets it.
    pub root: bool,
    /// Whether the bonus for being established for the first time was paid.
    pub established_once: bool,
    /// The time of its registration.
    pub created_at: UnixMillis,
    /// The sum of the pair rows whose target this is.
    pub masses: Masses,
    /// The score of `masses` at `masses.at`, from 0 to 1. For the score now ask [`LedgerRow::standing`].
    pub score: f64,
    /// The number of its tickets that are not fully paid.
    pub tickets_open: i64,
    /// Start of the minute in which `opened_in_minute` is counted.
    pub minute_started_at: UnixMillis,
    /// Tickets opened since `minute_started_at`.
    pub opened_in_minute: i64,
}

impl LedgerRow {
    /// Makes the row of a new account with the grant of [`TreasuryRow::grant_registration`].
    pub fn new(peer: PeerId, grant_mt: i64, now: UnixMillis) -> Self {
        let masses = Masses { at: now, ..Masses::default() };
        Self {
            peer,
            balance_mt: grant_mt,
            root: false,
            established_once: false,
            created_at: now,
            masses,
            score: masses.score(),
            tickets_open: 0,
            minute_started_at: UnixMillis(0),
            opened_in_minute: 0,
        }
    }
}

/// The treasury, the other side of every grant and fee: exactly one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreasuryRow {
    /// Milli-tokens that no account owns, at least 0.
    pub balance_mt: i64,
    /// The hour (whole hours since 1970) in which `granted_in_hour_mt` is counted.
    pub hour: i64,
    /// Given to new accounts in that hour, in milli-tokens.
    pub granted_in_hour_mt: i64,
    /// The day (whole days since 1970, UTC) in which `fees_mt` is counted.
    pub fees_day: i64,
    /// Fees taken on `fees_day`, in milli-tokens.
    pub fees_mt: i64,
    /// Fees taken on the day before `fees_day`, in milli-tokens.
    pub fees_before_mt: i64,
    /// The last day on which the dividend was paid; 0 if never.
    pub dividend_day: i64,
}

impl TreasuryRow {
    /// Makes the row of a new ledger: it holds the whole supply.
    pub fn new() -> Self {
        Self {
            balance_mt: SUPPLY_MT,
            hour: 0,
            granted_in_hour_mt: 0,
            fees_day: 0,
            fees_mt: 0,
            fees_before_mt: 0,
            dividend_day: 0,
        }
    }
}

impl Default for TreasuryRow {
    fn default() -> Self {
        Self::new()
    }
}

/// One source that a ticket lists, and the reports about it under this ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The source.
    pub peer: PeerId,
    /// Whether a session of it was counted: at most one per ticket.
    pub session: bool,
    /// The time of its last counted failure.
    pub failed_at: Option<UnixMillis>,
    /// Whether a failure of it was garbage.
    pub garbage: bool,
}

/// A ticket: the escrow of an account for one file, and the sources that it may pay. At most one row per (account,
/// file).
///
/// Invariants: `paid` has a bit for each chunk of `geometry`; `escrow_mt` and `paid_mt` are at least 0 and together at
/// most the file's price; at most [`LISTED_MAX`](super::LISTED_MAX) sources, each once, never the account itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRow {
    /// The id, which is the key.
    pub id: TicketId,
    /// The downloader, which pays. (account, file_hash) is unique.
    pub account: PeerId,
    /// The file.
    pub file_hash: FileHash,
    /// The sizes at the time of opening: prices follow from them. Stored as size and chunk size.
    pub geometry: Geometry,
    /// Milli-tokens set aside and not yet paid.
    pub escrow_mt: i64,
    /// Milli-tokens paid so far, fees included.
    pub paid_mt: i64,
    /// Milli-tokens of fines that its complaints have cost others.
    pub fined_mt: i64,
    /// One bit for each chunk that was settled, whether or not there was escrow left for it.
    pub paid: Bitmap,
    /// The offered sources, in the order of their first offer. Stored by [`encode_sources`].
    pub sources: Vec<Source>,
    /// The time of its opening.
    pub opened_at: UnixMillis,
    /// The time of its last renewal and top-up; at most once a minute.
    pub renewed_at: UnixMillis,
    /// The end of the ticket unless a lookup renews it. Feedback counts for a grace period after the end.
    pub expires_at: UnixMillis,
}

impl TicketRow {
    /// The price of one chunk in milli-tokens.
    pub fn chunk_price_mt(&self, chunk: ChunkIndex) -> i64 {
        price_mt(self.geometry.chunk_len(chunk))
    }

    /// The price of all chunks that are not settled yet, in milli-tokens.
    pub fn unpaid_price_mt(&self) -> i64 {
        let count = self.paid.count().0;
        self.price_of_mt(count - self.paid.len(), count > 0 && !self.paid.contains(self.last_chunk()))
    }

    /// The price of all settled chunks, in milli-tokens: `paid_mt` is never more.
    pub fn settled_price_mt(&self) -> i64 {
        self.price_of_mt(self.paid.len(), self.paid.contains(self.last_chunk()))
    }

    fn last_chunk(&self) -> ChunkIndex {
        ChunkIndex(self.paid.count().0.saturating_sub(1))
    }

    /// The price of `chunks` chunks: all cost the same, except that the last one may be short.
    fn price_of_mt(&self, chunks: u32, with_last: bool) -> i64 {
        let whole_mt = price_mt(self.geometry.chunk_size());
        let saved_mt = if with_last { whole_mt - self.chunk_price_mt(self.last_chunk()) } else { 0 };
        i64::from(chunks) * whole_mt - saved_mt
    }
}

/// The evidence of one account about another: one row per pair that met.
#[derive(Debug, Clone, PartialEq)]
pub struct PairRow {
    /// The reporter. (reporter, target) is the key.
    pub reporter: PeerId,
    /// The target.
    pub target: PeerId,
    /// The part of the target's masses that this reporter contributed.
    pub masses: Masses,
    /// Until when the target comes last in the reporter's own lookups.
    pub demoted_until: UnixMillis,
}

impl PairRow {
    /// Makes the row of a pair that has not met.
    pub fn new(reporter: PeerId, target: PeerId) -> Self {
        Self { reporter, target, masses: Masses::default(), demoted_until: UnixMillis(0) }
    }
}

/// The bytes of one encoded source.
const SOURCE_LEN: usize = 25;
const SESSION: u8 = 1;
const FAILED: u8 = 2;
const GARBAGE: u8 = 4;

/// Encodes a ticket's sources: 25 bytes each, namely the peer id, flags (1 session, 2 failed, 4 garbage), and the time
/// of the failure in big-endian milliseconds or zeros.
pub fn encode_sources(sources: &[Source]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sources.len() * SOURCE_LEN);
    for source in sources {
        let flags = [(source.session, SESSION), (source.failed_at.is_some(), FAILED), (source.garbage, GARBAGE)];
        out.extend(source.peer.0);
        out.push(flags.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
        out.extend(source.failed_at.unwrap_or_default().0.to_be_bytes());
    }
    out
}

/// Decodes the output of [`encode_sources`]; `None` for anything else.
pub fn decode_sources(bytes: &[u8]) -> Option<Vec<Source>> {
    let (whole, rest) = bytes.as_chunks::<SOURCE_LEN>();
    rest.is_empty().then(|| whole.iter().map(decode_source).collect::<Option<_>>())?
}

fn decode_source(bytes: &[u8; SOURCE_LEN]) -> Option<Source> {
    let (peer, rest) = bytes.split_first_chunk::<16>()?;
    let (flags, at) = rest.split_first()?;
    let at = UnixMillis(i64::from_be_bytes(at.try_into().ok()?));
    (*flags <= SESSION | FAILED | GARBAGE).then_some(Source {
        peer: PeerId(*peer),
        session: flags & SESSION != 0,
        failed_at: (flags & FAILED != 0).then_some(at),
        garbage: flags & GARBAGE != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ByteCount;

    #[test]
    fn paid_and_unpaid_add_up_to_the_price_of_all_chunks() {
        for (size, paid) in
            [(0, vec![]), (5 << 20, vec![]), ((5 << 20) - 9, vec![0, 3]), ((4 << 20) + 1, vec![1, 4]), (1, vec![0])]
        {
            let geometry = Geometry::for_size(ByteCount(size)).expect("small");
            let mut row = ticket(geometry);
            for chunk in paid {
                row.paid.insert(ChunkIndex(chunk));
            }
            assert_eq!(row.settled_price_mt(), row.paid.iter().map(|chunk| row.chunk_price_mt(chunk)).sum::<i64>());
            assert_eq!(row.unpaid_price_mt(), row.paid.missing().map(|chunk| row.chunk_price_mt(chunk)).sum::<i64>());
        }
    }

    fn ticket(geometry: Geometry) -> TicketRow {
        TicketRow {
            id: TicketId([0; 16]),
            account: PeerId([1; 16]),
            file_hash: FileHash([2; 32]),
            geometry,
            escrow_mt: 0,
            paid_mt: 0,
            fined_mt: 0,
            paid: Bitmap::empty(geometry.chunk_count()),
            sources: Vec::new(),
            opened_at: UnixMillis(0),
            renewed_at: UnixMillis(0),
            expires_at: UnixMillis(0),
        }
    }

    #[test]
    fn sources_survive_encoding_and_other_bytes_fail() {
        let source = |n: u8| Source {
            peer: PeerId([n; 16]),
            session: n & 1 != 0,
            failed_at: (n & 2 != 0).then_some(UnixMillis(1_700_000_000_000 + i64::from(n))),
            garbage: n & 4 != 0,
        };
        let sources: Vec<Source> = (0..8).map(source).collect();
        let bytes = encode_sources(&sources);
        assert_eq!(bytes.len(), 200);
        assert_eq!(decode_sources(&bytes), Some(sources));
        assert_eq!(decode_sources(&[]), Some(Vec::new()));
        assert_eq!(decode_sources(&bytes[1..]), None);
        let mut odd = bytes;
        odd[16] = 8;
        assert_eq!(decode_sources(&odd), None);
    }
}
