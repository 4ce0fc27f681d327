//! The token economy as it is stored: ledger, tickets, pairs and treasury.
//!
//! The rules are in `peernet_engine::economy`; a store loads rows, lets the rules change them, and saves them.

use peernet_engine::economy::{Changes, LedgerRow, Needs, Totals, Violation, WorkingSet};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

#[cfg(doc)]
use super::Durability;
use super::Result;

/// Reads and settles the token economy: ledger, tickets, pairs and treasury.
pub trait Ledger: Send + Sync {
    /// Runs one settlement: loads and locks the rows that `needs` names, calls `apply`, saves the changes that it returns, and commits
    /// with [`Durability::Synced`].
    ///
    /// A failure saves nothing. `apply` is called at most once. Among the trackers of one database only one settles at a time; when that
    /// tracker dies, the next one proceeds at once.
    fn settle(&self, needs: &Needs, apply: &mut dyn FnMut(&mut WorkingSet) -> Changes) -> Result<()>;

    /// Returns the totals of all rows, counted now. `admin ledger verify` compares them.
    fn ledger_totals(&self) -> Result<Totals>;

    /// Returns an account's ledger row; `None` for an unknown account.
    fn ledger(&self, peer: PeerId) -> Result<Option<LedgerRow>>;

    /// Returns account and file of tickets that expired at `before` or earlier, oldest first.
    fn expired_tickets(&self, before: UnixMillis, limit: usize) -> Result<Vec<(PeerId, FileHash)>>;

    /// Returns the milli-tokens that the open tickets of an account hold together; 0 for an unknown account.
    fn escrow_mt(&self, account: PeerId) -> Result<i64>;

    /// Returns the peers that come last in `reporter`'s lookups, each with the time (after `now`) at which that ends.
    fn demotions(&self, reporter: PeerId, now: UnixMillis) -> Result<Vec<(PeerId, UnixMillis)>>;

    /// Pays the daily dividend if it is due, in one transaction. Returns each account's part in milli-tokens.
    fn pay_dividend(&self, now: UnixMillis) -> Result<i64>;

    /// Checks the invariants over all rows of one snapshot. It loads the snapshot into memory, so only an operator's command uses it.
    fn audit(&self) -> Result<Vec<Violation>>;
}
