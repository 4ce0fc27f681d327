//! The economy against a store in memory that loads and saves exactly as a database would.

mod attacks;
mod audits;
mod invariants;
mod settlement;
mod tickets;

use std::collections::BTreeMap;

use peernet_engine::economy::{
    Changes, Complaints, Event, LedgerRow, Needs, Outcome, PairRow, Rules, TicketId, TicketRow, TreasuryRow,
    WorkingSet, audit, decode_sources, encode_sources, needs,
};
use peernet_engine::ids::{ByteCount, ChunkIndex, FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;

const MIB: u64 = 1 << 20;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

fn peer(n: u8) -> PeerId {
    PeerId([n; 16])
}

fn file(n: u8) -> FileHash {
    FileHash([n; 32])
}

/// A database's tables and its clock.
#[derive(Clone)]
struct Books {
    now: UnixMillis,
    rules: Rules,
    treasury: TreasuryRow,
    ledgers: BTreeMap<PeerId, LedgerRow>,
    tickets: BTreeMap<TicketId, TicketRow>,
    pairs: BTreeMap<(PeerId, PeerId), PairRow>,
    next_ticket: u64,
    next_downloader: u8,
}

impl Books {
    fn new(complaints: Complaints) -> Self {
        Self {
            now: UnixMillis(1_700_000_000_000),
            rules: Rules { complaints },
            treasury: TreasuryRow::new(),
            ledgers: BTreeMap::new(),
            tickets: BTreeMap::new(),
            pairs: BTreeMap::new(),
            next_ticket: 0,
            next_downloader: 200,
        }
    }

    /// Accounts 1 to `count`, registered hours ago with the full grant each.
    fn with_accounts(complaints: Complaints, count: u8) -> Self {
        let mut books = Self::new(complaints);
        for n in 1..=count {
            books.register(peer(n));
            books.wait(HOUR_MS);
        }
        books
    }

    fn register(&mut self, account: PeerId) {
        let grant_mt = self.treasury.grant_registration(self.now);
        self.ledgers.insert(account, LedgerRow::new(account, grant_mt, self.now));
    }

    fn wait(&mut self, span_ms: i64) {
        self.now.0 += span_ms;
    }

    fn load(&self, needs: &Needs) -> WorkingSet {
        let tickets = self.tickets.values().filter(|row| needs.tickets.contains(&(row.account, row.file_hash)));
        WorkingSet::new(
            self.treasury.clone(),
            needs.ledgers.iter().filter_map(|key| self.ledgers.get(key)).cloned().collect(),
            tickets.cloned().collect(),
            needs.pairs.iter().filter_map(|key| self.pairs.get(key)).cloned().collect(),
        )
    }

    fn save(&mut self, changes: Changes) {
        for id in changes.closed {
            self.tickets.remove(&id);
        }
        for mut row in changes.tickets {
            row.sources = decode_sources(&encode_sources(&row.sources)).expect("as encoded");
            self.tickets.insert(row.id, row);
        }
        for row in changes.ledgers {
            assert!(self.ledgers.insert(row.peer, row).is_some(), "a batch makes no account");
        }
        for row in changes.pairs {
            self.pairs.insert((row.reporter, row.target), row);
        }
        self.treasury = changes.treasury.unwrap_or_else(|| self.treasury.clone());
    }

    /// Computes the effects of a batch and stores nothing, as at a crash before the commit.
    fn attempt(&self, events: &[Event]) -> (Vec<Outcome>, Changes) {
        let mut set = self.load(&needs(events));
        let outcomes = set.apply_batch(self.now, &self.rules, events);
        (outcomes, set.changes())
    }

    fn commit(&mut self, events: &[Event]) -> Vec<Outcome> {
        let (outcomes, changes) = self.attempt(events);
        self.save(changes);
        outcomes
    }

    fn one(&mut self, event: Event) -> Outcome {
        self.commit(&[event])[0]
    }

    fn open(&mut self, account: PeerId, file_hash: FileHash, size: u64, sources: &[PeerId]) -> Outcome {
        let event = self.lookup(account, file_hash, size, sources);
        self.one(event)
    }

    fn lookup(&mut self, account: PeerId, file_hash: FileHash, size: u64, sources: &[PeerId]) -> Event {
        self.next_ticket += 1;
        let new_id = TicketId(u128::from(self.next_ticket).to_be_bytes());
        let geometry = Geometry::for_size(ByteCount(size)).expect("small");
        Event::OpenTicket { account, file_hash, geometry, sources: sources.to_vec(), new_id }
    }

    fn audited(&self) {
        let ledgers: Vec<LedgerRow> = self.ledgers.values().cloned().collect();
        let tickets: Vec<TicketRow> = self.tickets.values().cloned().collect();
        let pairs: Vec<PairRow> = self.pairs.values().cloned().collect();
        assert_eq!(audit(&self.treasury, &ledgers, &tickets, &pairs), Ok(()));
        let keys: std::collections::BTreeSet<_> = tickets.iter().map(|row| (row.account, row.file_hash)).collect();
        assert_eq!(keys.len(), tickets.len(), "one ticket for each account and file");
    }

    fn balance(&self, account: PeerId) -> i64 {
        self.ledgers[&account].balance_mt
    }

    fn score(&self, account: PeerId) -> f64 {
        self.ledgers[&account].standing(self.now).score
    }

    /// `count` other accounts, made for this, download one chunk each from `target`.
    fn serve_others(&mut self, target: PeerId, count: u8) {
        for _ in 0..count {
            let downloader = peer(self.next_downloader);
            self.next_downloader += 1;
            self.register(downloader);
            self.open(downloader, file(250), MIB, &[target]);
            self.one(success(downloader, target, file(250), &[0]));
        }
    }
}

fn success(reporter: PeerId, target: PeerId, file_hash: FileHash, chunks: &[u32]) -> Event {
    Event::Success { reporter, target, file_hash, chunks: chunks.iter().copied().map(ChunkIndex).collect() }
}

fn failure(reporter: PeerId, target: PeerId, file_hash: FileHash, garbage: bool) -> Event {
    Event::Failure { reporter, target, file_hash, chunk: ChunkIndex(0), garbage }
}
