//! Reads of the economy's tables.

use peernet_engine::economy::{LedgerRow, PairRow, TicketRow, Totals, Violation, audit};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use crate::store::columns::{self, ledger_columns, pair_columns, ticket_columns, treasury_columns};
use crate::store::{Result, StoreError};

use crate::store::postgres::connection::{Attempt, Session, Uuid};

pub(super) fn totals(session: &mut Session) -> Attempt<Totals> {
    // One statement sees one snapshot.
    let rows = session.query(
        "SELECT (SELECT coalesce(sum(balance_mt), 0)::bigint FROM ledger), (SELECT coalesce(sum(escrow_mt), \
         0)::bigint FROM tickets), (SELECT balance_mt FROM treasury WHERE id = 1)",
        &[],
    )?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("no totals".into()))?;
    Ok(Totals {
        balances_mt: row.get(0),
        escrow_mt: row.get(1),
        treasury_mt: row.get::<_, Option<i64>>(2).unwrap_or(0),
    })
}

pub(super) fn ledger(session: &mut Session, peer: PeerId) -> Attempt<Option<LedgerRow>> {
    let rows =
        session.query(concat!("SELECT ", ledger_columns!(), " FROM ledger WHERE peer = $1"), &[&Uuid(peer.0)])?;
    Ok(rows.first().map(columns::ledger).transpose()?)
}

pub(super) fn escrow_mt(session: &mut Session, account: PeerId) -> Attempt<i64> {
    let sql = "SELECT coalesce(sum(escrow_mt), 0)::bigint FROM tickets WHERE account = $1";
    let rows = session.query(sql, &[&Uuid(account.0)])?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

pub(super) fn expired_tickets(
    session: &mut Session,
    before: UnixMillis,
    limit: usize,
) -> Attempt<Vec<(PeerId, FileHash)>> {
    let rows = session.query(
        "SELECT account, file_hash FROM tickets WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
        &[&before.0, &i64::try_from(limit).unwrap_or(i64::MAX)],
    )?;
    Ok(rows.iter().map(columns::peer_and_file).collect::<Result<_>>()?)
}

pub(super) fn demotions(
    session: &mut Session,
    reporter: PeerId,
    now: UnixMillis,
) -> Attempt<Vec<(PeerId, UnixMillis)>> {
    let rows = session.query(
        "SELECT target, demoted_until FROM pairs WHERE reporter = $1 AND demoted_until > $2 ORDER BY target",
        &[&Uuid(reporter.0), &now.0],
    )?;
    Ok(rows.iter().map(columns::peer_and_time).collect::<Result<_>>()?)
}

pub(super) fn audit_all(session: &mut Session) -> Attempt<Vec<Violation>> {
    let mut tx =
        session.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '60s'")?;
    let rows = tx.query(concat!("SELECT ", treasury_columns!(), " FROM treasury WHERE id = 1"), &[])?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("there is no treasury: not migrated".into()))?;
    let treasury = columns::treasury(row)?;
    let rows = tx.query(concat!("SELECT ", ledger_columns!(), " FROM ledger"), &[])?;
    let ledgers: Vec<LedgerRow> = rows.iter().map(columns::ledger).collect::<Result<_>>()?;
    let rows = tx.query(concat!("SELECT ", ticket_columns!(), " FROM tickets"), &[])?;
    let tickets: Vec<TicketRow> = rows.iter().map(columns::ticket).collect::<Result<_>>()?;
    let rows = tx.query(concat!("SELECT ", pair_columns!(), " FROM pairs"), &[])?;
    let pairs: Vec<PairRow> = rows.iter().map(columns::pair).collect::<Result<_>>()?;
    Ok(audit(&treasury, &ledgers, &tickets, &pairs).err().unwrap_or_default())
}
