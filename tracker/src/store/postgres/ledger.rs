//! The rows of the economy: settling, with every row locked in one order; saving and reports are below.

mod report;
mod save;

use std::collections::BTreeSet;

use peernet_engine::economy::{
    Changes, DIVIDEND_BELOW_MT, LedgerRow, Needs, PairRow, TicketRow, TreasuryRow, WorkingSet, dividend,
};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use postgres::types::ToSql;

use crate::store::columns::{self, ledger_columns, pair_columns, ticket_columns, treasury_columns};
use crate::store::{Durability, Result as StoreResult, StoreError};

use super::session::{Session, Tx};
use super::trouble::Trouble;
use super::values::Uuid;
use super::write::begin;

pub(super) use self::report::{audit_all, demotions, escrow_mt, expired_tickets, ledger, totals};
use self::save::{save, save_ledgers};

/// The one reputation writer among all trackers is whoever holds this for the moment; who dies loses it with the
/// connection. The key is this program's name for "settling": "peernet" and 3 in ASCII.
const SETTLE_LOCK: &str = "SELECT pg_advisory_xact_lock(x'7065657265740003'::bigint)";

pub(super) fn settle(
    session: &mut Session,
    needs: &Needs,
    apply: &mut dyn FnMut(&mut WorkingSet) -> Changes,
) -> Result<(), Trouble> {
    let mut tx = session.begin(begin(Durability::Synced))?;
    tx.batch(SETTLE_LOCK)?;
    let mut set = load(&mut tx, needs)?;
    let changes = apply(&mut set);
    // From here on nothing is repeated: `apply` is called once.
    save(&mut tx, &changes).map_err(Trouble::finally)?;
    tx.commit().map_err(Trouble::finally)
}

fn load(tx: &mut Tx<'_>, needs: &Needs) -> Result<WorkingSet, Trouble> {
    let tickets = load_tickets(tx, &needs.tickets)?;
    let ledgers = load_ledgers(tx, &needs.ledgers)?;
    let pairs = load_pairs(tx, &needs.pairs)?;
    Ok(WorkingSet::new(lock_treasury(tx)?, ledgers, tickets, pairs))
}

fn load_tickets(tx: &mut Tx<'_>, keys: &BTreeSet<(PeerId, FileHash)>) -> Result<Vec<TicketRow>, Trouble> {
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
    Ok(rows.iter().map(columns::ticket).collect::<StoreResult<_>>()?)
}

fn load_ledgers(tx: &mut Tx<'_>, keys: &BTreeSet<PeerId>) -> Result<Vec<LedgerRow>, Trouble> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let peers: Vec<Uuid> = keys.iter().map(|peer| Uuid(peer.0)).collect();
    let sql =
        concat!("SELECT ", ledger_columns!(), " FROM ledger WHERE peer = ANY ($1::uuid[]) ORDER BY peer FOR UPDATE");
    let rows = tx.query(sql, &[&peers])?;
    Ok(rows.iter().map(columns::ledger).collect::<StoreResult<_>>()?)
}

fn load_pairs(tx: &mut Tx<'_>, keys: &BTreeSet<(PeerId, PeerId)>) -> Result<Vec<PairRow>, Trouble> {
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
    Ok(rows.iter().map(columns::pair).collect::<StoreResult<_>>()?)
}

pub(super) fn pay_dividend(session: &mut Session, now: UnixMillis) -> Result<i64, Trouble> {
    let mut tx = session.begin(begin(Durability::Synced))?;
    tx.batch(SETTLE_LOCK)?;
    let sql = concat!(
        "SELECT ",
        ledger_columns!(),
        " FROM ledger WHERE balance_mt < $1 AND sessions > 0 ORDER BY peer FOR UPDATE"
    );
    let rows = tx.query(sql, &[&DIVIDEND_BELOW_MT])?;
    let mut ledgers: Vec<LedgerRow> = rows.iter().map(columns::ledger).collect::<StoreResult<_>>()?;
    let mut treasury = lock_treasury(&mut tx)?;
    let (ledgers_before, treasury_before) = (ledgers.clone(), treasury.clone());
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

/// Makes a new account's row.
pub(super) fn insert(tx: &mut Tx<'_>, row: &LedgerRow) -> Result<(), Trouble> {
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

/// In the order of `treasury_columns!`.
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

/// Makes the treasury, unless it is there.
pub(super) fn insert_treasury(tx: &mut Tx<'_>, row: &TreasuryRow) -> Result<(), Trouble> {
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

/// Reads the treasury and keeps others from changing it until the transaction ends.
pub(super) fn lock_treasury(tx: &mut Tx<'_>) -> Result<TreasuryRow, Trouble> {
    let rows = tx.query(concat!("SELECT ", treasury_columns!(), " FROM treasury WHERE id = 1 FOR UPDATE"), &[])?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("there is no treasury: not migrated".into()))?;
    Ok(columns::treasury(row)?)
}

pub(super) fn save_treasury(tx: &mut Tx<'_>, row: &TreasuryRow) -> Result<(), Trouble> {
    tx.execute(
        "UPDATE treasury SET balance_mt = $1, hour = $2, granted_in_hour_mt = $3, fees_day = $4, fees_mt = $5, \
         fees_before_mt = $6, dividend_day = $7 WHERE id = 1",
        &treasury_values(row),
    )?;
    Ok(())
}
