//! The tables `ledger`, `tickets`, `pairs` and `treasury`. A settlement locks its rows in one order; `save` and `report` are below.

mod report;
mod save;

use std::collections::BTreeSet;

use peernet_engine::economy::{
    Changes, DIVIDEND_BELOW_MT, LedgerRow, Needs, PairRow, TicketRow, Totals, TreasuryRow, Violation, WorkingSet,
    dividend,
};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use postgres::types::ToSql;

use crate::store::columns::{self, ledger_columns, pair_columns, ticket_columns, treasury_columns};
use crate::store::{Durability, Ledger, Result, StoreError};

use super::PostgresStore;
use super::batch::begin;
use super::connection::{Attempt, AttemptError, Session, Tx, Uuid};

use self::report::{audit_all, demotions, escrow_mt, expired_tickets, ledger, totals};
use self::save::{save, save_ledgers};

/// The lock that lets one tracker settle at a time. A tracker that dies loses it with its connection.
///
/// The key is this program's name for "settling": "peernet" and 3 in ASCII.
const SETTLE_LOCK: &str = "SELECT pg_advisory_xact_lock(x'7065657265740003'::bigint)";

impl Ledger for PostgresStore {
    fn settle(&self, needs: &Needs, apply: &mut dyn FnMut(&mut WorkingSet) -> Changes) -> Result<()> {
        self.connections.run(|session| settle(session, needs, apply))
    }

    fn ledger_totals(&self) -> Result<Totals> {
        self.connections.run(totals)
    }

    fn ledger(&self, peer: PeerId) -> Result<Option<LedgerRow>> {
        self.connections.run(|session| ledger(session, peer))
    }

    fn expired_tickets(&self, before: UnixMillis, limit: usize) -> Result<Vec<(PeerId, FileHash)>> {
        self.connections.run(|session| expired_tickets(session, before, limit))
    }

    fn escrow_mt(&self, account: PeerId) -> Result<i64> {
        self.connections.run(|session| escrow_mt(session, account))
    }

    fn demotions(&self, reporter: PeerId, now: UnixMillis) -> Result<Vec<(PeerId, UnixMillis)>> {
        self.connections.run(|session| demotions(session, reporter, now))
    }

    fn pay_dividend(&self, now: UnixMillis) -> Result<i64> {
        self.connections.run(|session| pay_dividend(session, now))
    }

    fn audit(&self) -> Result<Vec<Violation>> {
        self.connections.run(audit_all)
    }
}

pub(super) fn settle(
    session: &mut Session,
    needs: &Needs,
    apply: &mut dyn FnMut(&mut WorkingSet) -> Changes,
) -> Attempt<()> {
    let mut tx = session.begin(begin(Durability::Synced))?;
    tx.batch(SETTLE_LOCK)?;
    let mut set = load(&mut tx, needs)?;
    let changes = apply(&mut set);
    // From here on the attempt is not repeated, because `apply` is called at most once.
    save(&mut tx, &changes).map_err(AttemptError::finally)?;
    tx.commit().map_err(AttemptError::finally)
}

fn load(tx: &mut Tx<'_>, needs: &Needs) -> Attempt<WorkingSet> {
    let tickets = load_tickets(tx, &needs.tickets)?;
    let ledgers = load_ledgers(tx, &needs.ledgers)?;
    let pairs = load_pairs(tx, &needs.pairs)?;
    Ok(WorkingSet::new(lock_treasury(tx)?, ledgers, tickets, pairs))
}

fn load_tickets(tx: &mut Tx<'_>, keys: &BTreeSet<(PeerId, FileHash)>) -> Attempt<Vec<TicketRow>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let accounts: Vec<Uuid> = keys.iter().map(|(account, _)| Uuid(account.0)).collect();
    let files: Vec<&[u8]> = keys.iter().map(|(_, file)| file.0.as_slice()).collect();
    let sql = concat!(
        "SELECT ",
        ticket_columns!(),
        " FROM tickets WHERE (account, file_hash) IN (SELECT * FROM unnest($1::uuid[], $2::bytea[])) \
         ORDER BY account, file_hash FOR UPDATE"
    );
    let rows = tx.query(sql, &[&accounts, &files])?;
    Ok(rows.iter().map(columns::ticket).collect::<Result<_>>()?)
}

fn load_ledgers(tx: &mut Tx<'_>, keys: &BTreeSet<PeerId>) -> Attempt<Vec<LedgerRow>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let peers: Vec<Uuid> = keys.iter().map(|peer| Uuid(peer.0)).collect();
    let sql =
        concat!("SELECT ", ledger_columns!(), " FROM ledger WHERE peer = ANY ($1::uuid[]) ORDER BY peer FOR UPDATE");
    let rows = tx.query(sql, &[&peers])?;
    Ok(rows.iter().map(columns::ledger).collect::<Result<_>>()?)
}

fn load_pairs(tx: &mut Tx<'_>, keys: &BTreeSet<(PeerId, PeerId)>) -> Attempt<Vec<PairRow>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let reporters: Vec<Uuid> = keys.iter().map(|(reporter, _)| Uuid(reporter.0)).collect();
    let targets: Vec<Uuid> = keys.iter().map(|(_, target)| Uuid(target.0)).collect();
    let sql = concat!(
        "SELECT ",
        pair_columns!(),
        " FROM pairs WHERE (reporter, target) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[])) \
         ORDER BY reporter, target FOR UPDATE"
    );
    let rows = tx.query(sql, &[&reporters, &targets])?;
    Ok(rows.iter().map(columns::pair).collect::<Result<_>>()?)
}

pub(super) fn pay_dividend(session: &mut Session, now: UnixMillis) -> Attempt<i64> {
    let mut tx = session.begin(begin(Durability::Synced))?;
    tx.batch(SETTLE_LOCK)?;
    let sql = concat!(
        "SELECT ",
        ledger_columns!(),
        " FROM ledger WHERE balance_mt < $1 AND sessions > 0 ORDER BY peer FOR UPDATE"
    );
    let rows = tx.query(sql, &[&DIVIDEND_BELOW_MT])?;
    let mut ledgers: Vec<LedgerRow> = rows.iter().map(columns::ledger).collect::<Result<_>>()?;
    let mut treasury = lock_treasury(&mut tx)?;
    let ledgers_before = ledgers.clone();
    let treasury_before = treasury.clone();
    let part_mt = dividend(&mut treasury, &mut ledgers, now);
    let changed: Vec<LedgerRow> = ledgers
        .into_iter()
        .zip(&ledgers_before)
        .filter(|(after, before)| after != *before)
        .map(|(after, _)| after)
        .collect();
    save_ledgers(&mut tx, &changed)?;
    if treasury != treasury_before {
        save_treasury(&mut tx, &treasury)?;
    }
    tx.commit()?;
    Ok(part_mt)
}

/// Inserts a new account's row.
pub(super) fn insert(tx: &mut Tx<'_>, row: &LedgerRow) -> Attempt<()> {
    let m = &row.masses;
    tx.execute(
        concat!(
            "INSERT INTO ledger (",
            ledger_columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
        ),
        &[
            &Uuid(row.peer.0),
            &row.balance_mt,
            &row.root,
            &row.established_once,
            &row.created_at.0,
            &m.sessions,
            &m.proofs,
            &m.garbage,
            &m.root_failures,
            &m.root_successes,
            &m.hearsay,
            &m.at.0,
            &row.score,
            &row.tickets_open,
            &row.minute_started_at.0,
            &row.opened_in_minute,
        ],
    )?;
    Ok(())
}

/// Returns the values in the order of `treasury_columns!`.
fn treasury_values(row: &TreasuryRow) -> [&(dyn ToSql + Sync); 7] {
    [
        &row.balance_mt,
        &row.hour,
        &row.granted_in_hour_mt,
        &row.fees_day,
        &row.fees_mt,
        &row.fees_before_mt,
        &row.dividend_day,
    ]
}

/// Inserts the treasury unless it exists.
pub(super) fn insert_treasury(tx: &mut Tx<'_>, row: &TreasuryRow) -> Attempt<()> {
    tx.execute(
        concat!(
            "INSERT INTO treasury (id, ",
            treasury_columns!(),
            ") VALUES (1, $1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT DO NOTHING"
        ),
        &treasury_values(row),
    )?;
    Ok(())
}

/// Reads and locks the treasury until the transaction ends.
pub(super) fn lock_treasury(tx: &mut Tx<'_>) -> Attempt<TreasuryRow> {
    let rows = tx.query(concat!("SELECT ", treasury_columns!(), " FROM treasury WHERE id = 1 FOR UPDATE"), &[])?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("there is no treasury: not migrated".into()))?;
    Ok(columns::treasury(row)?)
}

pub(super) fn save_treasury(tx: &mut Tx<'_>, row: &TreasuryRow) -> Attempt<()> {
    tx.execute(
        "UPDATE treasury SET balance_mt = $1, hour = $2, granted_in_hour_mt = $3, fees_day = $4, fees_mt = $5, \
         fees_before_mt = $6, dividend_day = $7 WHERE id = 1",
        &treasury_values(row),
    )?;
    Ok(())
}
