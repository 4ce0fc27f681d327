//! The tables `ledger`, `tickets`, `pairs` and `treasury`.
//!
//! SQLite allows one writing transaction at a time, so rows need no locks when they are loaded.

use peernet_engine::economy::{
    Changes, DIVIDEND_BELOW_MT, LedgerRow, Needs, PairRow, TicketRow, Totals, TreasuryRow, Violation, WorkingSet,
    audit, dividend, encode_sources,
};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::columns::{self, ledger_columns, pair_columns, ticket_columns, treasury_columns};
use crate::store::{Durability, Ledger, Result, StoreError};

use super::SqliteStore;
use super::connection::{execute, query};

impl Ledger for SqliteStore {
    fn settle(&self, needs: &Needs, apply: &mut dyn FnMut(&mut WorkingSet) -> Changes) -> Result<()> {
        self.connections.write(Durability::Synced, |tx| settle(tx, needs, apply))
    }

    fn ledger_totals(&self) -> Result<Totals> {
        self.connections.read(totals)
    }

    fn ledger(&self, peer: PeerId) -> Result<Option<LedgerRow>> {
        self.connections.read(|tx| ledger(tx, peer))
    }

    fn expired_tickets(&self, before: UnixMillis, limit: usize) -> Result<Vec<(PeerId, FileHash)>> {
        self.connections.read(|tx| expired_tickets(tx, before, limit))
    }

    fn escrow_mt(&self, account: PeerId) -> Result<i64> {
        self.connections.read(|tx| escrow_mt(tx, account))
    }

    fn demotions(&self, reporter: PeerId, now: UnixMillis) -> Result<Vec<(PeerId, UnixMillis)>> {
        self.connections.read(|tx| demotions(tx, reporter, now))
    }

    fn pay_dividend(&self, now: UnixMillis) -> Result<i64> {
        self.connections.write(Durability::Synced, |tx| pay_dividend(tx, now))
    }

    fn audit(&self) -> Result<Vec<Violation>> {
        self.connections.read(audit_all)
    }
}

pub(super) fn settle(tx: &Connection, needs: &Needs, apply: &mut dyn FnMut(&mut WorkingSet) -> Changes) -> Result<()> {
    let mut set = load(tx, needs)?;
    save(tx, &apply(&mut set))
}

fn load(tx: &Connection, needs: &Needs) -> Result<WorkingSet> {
    let mut ledgers = Vec::new();
    let mut tickets = Vec::new();
    let mut pairs = Vec::new();
    for (account, file) in &needs.tickets {
        let sql = concat!("SELECT ", ticket_columns!(), " FROM tickets WHERE account = ?1 AND file_hash = ?2");
        tickets.extend(query(tx, sql, params![account.0, file.0], |row| columns::ticket(row))?);
    }
    for peer in &needs.ledgers {
        ledgers.extend(ledger(tx, *peer)?);
    }
    for (reporter, target) in &needs.pairs {
        let sql = concat!("SELECT ", pair_columns!(), " FROM pairs WHERE reporter = ?1 AND target = ?2");
        pairs.extend(query(tx, sql, params![reporter.0, target.0], |row| columns::pair(row))?);
    }
    Ok(WorkingSet::new(treasury(tx)?, ledgers, tickets, pairs))
}

fn save(tx: &Connection, changes: &Changes) -> Result<()> {
    for id in &changes.closed {
        execute(tx, "DELETE FROM tickets WHERE id = ?1", params![id.0])?;
    }
    changes.tickets.iter().try_for_each(|row| save_ticket(tx, row))?;
    changes.ledgers.iter().try_for_each(|row| save_ledger(tx, row))?;
    changes.pairs.iter().try_for_each(|row| save_pair(tx, row))?;
    changes.treasury.iter().try_for_each(|row| save_treasury(tx, row))
}

fn save_ticket(tx: &Connection, row: &TicketRow) -> Result<()> {
    let size = i64::try_from(row.geometry.size().0).map_err(|_| StoreError::Failed("a size beyond 2^63".into()))?;
    execute(
        tx,
        concat!(
            "INSERT INTO tickets (",
            ticket_columns!(),
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (account, file_hash) DO \
             UPDATE \
             SET id = excluded.id, size = excluded.size, chunk_size = excluded.chunk_size, \
             escrow_mt = excluded.escrow_mt, paid_mt = excluded.paid_mt, fined_mt = excluded.fined_mt, \
             paid = excluded.paid, sources = excluded.sources, opened_at = excluded.opened_at, \
             renewed_at = excluded.renewed_at, expires_at = excluded.expires_at"
        ),
        params![
            row.id.0,
            row.account.0,
            row.file_hash.0,
            size,
            row.geometry.chunk_size(),
            row.escrow_mt,
            row.paid_mt,
            row.fined_mt,
            row.paid.as_bytes(),
            encode_sources(&row.sources),
            row.opened_at.0,
            row.renewed_at.0,
            row.expires_at.0,
        ],
    )?;
    Ok(())
}

/// The row must exist: an account's ledger is made with it.
fn save_ledger(tx: &Connection, row: &LedgerRow) -> Result<()> {
    let m = &row.masses;
    let saved = execute(
        tx,
        "UPDATE ledger SET balance_mt = ?2, root = ?3, established_once = ?4, sessions = ?5, proofs = ?6, garbage = \
         ?7, root_failures = ?8, root_successes = ?9, hearsay = ?10, masses_at = ?11, score = ?12, tickets_open = \
         ?13, minute_started_at = ?14, opened_in_minute = ?15 WHERE peer = ?1",
        params![
            row.peer.0,
            row.balance_mt,
            row.root,
            row.established_once,
            m.sessions,
            m.proofs,
            m.garbage,
            m.root_failures,
            m.root_successes,
            m.hearsay,
            m.at.0,
            row.score,
            row.tickets_open,
            row.minute_started_at.0,
            row.opened_in_minute,
        ],
    )?;
    if saved == 1 { Ok(()) } else { Err(StoreError::Failed("a changed account has no ledger row".into())) }
}

fn save_pair(tx: &Connection, row: &PairRow) -> Result<()> {
    let m = &row.masses;
    execute(
        tx,
        concat!(
            "INSERT INTO pairs (",
            pair_columns!(),
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (reporter, target) DO UPDATE SET \
             sessions = excluded.sessions, proofs = excluded.proofs, garbage = excluded.garbage, \
             root_failures = excluded.root_failures, root_successes = excluded.root_successes, \
             hearsay = excluded.hearsay, masses_at = excluded.masses_at, demoted_until = excluded.demoted_until"
        ),
        params![
            row.reporter.0,
            row.target.0,
            m.sessions,
            m.proofs,
            m.garbage,
            m.root_failures,
            m.root_successes,
            m.hearsay,
            m.at.0,
            row.demoted_until.0,
        ],
    )?;
    Ok(())
}

/// Makes a new account's row.
pub(super) fn insert(tx: &Connection, row: &LedgerRow) -> Result<()> {
    let m = &row.masses;
    execute(
        tx,
        concat!(
            "INSERT INTO ledger (",
            ledger_columns!(),
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
        ),
        params![
            row.peer.0,
            row.balance_mt,
            row.root,
            row.established_once,
            row.created_at.0,
            m.sessions,
            m.proofs,
            m.garbage,
            m.root_failures,
            m.root_successes,
            m.hearsay,
            m.at.0,
            row.score,
            row.tickets_open,
            row.minute_started_at.0,
            row.opened_in_minute,
        ],
    )?;
    Ok(())
}

pub(super) fn treasury(tx: &Connection) -> Result<TreasuryRow> {
    let sql = concat!("SELECT ", treasury_columns!(), " FROM treasury WHERE id = 1");
    let row = query(tx, sql, [], |row| columns::treasury(row))?.pop();
    row.ok_or_else(|| StoreError::Failed("there is no treasury: not migrated".into()))
}

/// Makes the treasury or overwrites it.
pub(super) fn save_treasury(tx: &Connection, row: &TreasuryRow) -> Result<()> {
    execute(
        tx,
        concat!(
            "INSERT INTO treasury (id, ",
            treasury_columns!(),
            ") VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET balance_mt = excluded.balance_mt, \
             hour = excluded.hour, granted_in_hour_mt = excluded.granted_in_hour_mt, fees_day = excluded.fees_day, \
             fees_mt = excluded.fees_mt, fees_before_mt = excluded.fees_before_mt, dividend_day = excluded.dividend_day"
        ),
        params![
            row.balance_mt,
            row.hour,
            row.granted_in_hour_mt,
            row.fees_day,
            row.fees_mt,
            row.fees_before_mt,
            row.dividend_day,
        ],
    )?;
    Ok(())
}

pub(super) fn totals(tx: &Connection) -> Result<Totals> {
    let sum = |sql| query(tx, sql, [], |row| columns::number(row)).map(|rows| rows.into_iter().sum());
    Ok(Totals {
        balances_mt: sum("SELECT coalesce(sum(balance_mt), 0) FROM ledger")?,
        escrow_mt: sum("SELECT coalesce(sum(escrow_mt), 0) FROM tickets")?,
        treasury_mt: sum("SELECT balance_mt FROM treasury")?,
    })
}

pub(super) fn ledger(tx: &Connection, peer: PeerId) -> Result<Option<LedgerRow>> {
    let sql = concat!("SELECT ", ledger_columns!(), " FROM ledger WHERE peer = ?1");
    Ok(query(tx, sql, params![peer.0], |row| columns::ledger(row))?.pop())
}

pub(super) fn escrow_mt(tx: &Connection, account: PeerId) -> Result<i64> {
    let sql = "SELECT coalesce(sum(escrow_mt), 0) FROM tickets WHERE account = ?1";
    query(tx, sql, params![account.0], |row| columns::number(row)).map(|rows| rows.into_iter().sum())
}

pub(super) fn expired_tickets(tx: &Connection, before: UnixMillis, limit: usize) -> Result<Vec<(PeerId, FileHash)>> {
    query(
        tx,
        "SELECT account, file_hash FROM tickets WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
        params![before.0, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| columns::peer_and_file(row),
    )
}

pub(super) fn demotions(tx: &Connection, reporter: PeerId, now: UnixMillis) -> Result<Vec<(PeerId, UnixMillis)>> {
    query(
        tx,
        "SELECT target, demoted_until FROM pairs WHERE reporter = ?1 AND demoted_until > ?2 ORDER BY target",
        params![reporter.0, now.0],
        |row| columns::peer_and_time(row),
    )
}

pub(super) fn pay_dividend(tx: &Connection, now: UnixMillis) -> Result<i64> {
    let sql =
        concat!("SELECT ", ledger_columns!(), " FROM ledger WHERE balance_mt < ?1 AND sessions > 0 ORDER BY peer");
    let before = query(tx, sql, params![DIVIDEND_BELOW_MT], |row| columns::ledger(row))?;
    let mut ledgers = before.clone();
    let mut treasury = treasury(tx)?;
    let part_mt = dividend(&mut treasury, &mut ledgers, now);
    for (after, _) in ledgers.iter().zip(&before).filter(|(after, before)| after != before) {
        save_ledger(tx, after)?;
    }
    save_treasury(tx, &treasury)?;
    Ok(part_mt)
}

pub(super) fn audit_all(tx: &Connection) -> Result<Vec<Violation>> {
    let ledgers = query(tx, concat!("SELECT ", ledger_columns!(), " FROM ledger"), [], |row| columns::ledger(row))?;
    let tickets = query(tx, concat!("SELECT ", ticket_columns!(), " FROM tickets"), [], |row| columns::ticket(row))?;
    let pairs = query(tx, concat!("SELECT ", pair_columns!(), " FROM pairs"), [], |row| columns::pair(row))?;
    Ok(audit(&treasury(tx)?, &ledgers, &tickets, &pairs).err().unwrap_or_default())
}
