//! Saving of changed rows, with one statement for each table.

use peernet_engine::economy::{Changes, LedgerRow, Masses, PairRow, TicketRow, encode_sources};

use crate::store::StoreError;

use super::save_treasury;
use crate::store::postgres::connection::{Attempt, Tx, Uuid, column};

pub(super) fn save(tx: &mut Tx<'_>, changes: &Changes) -> Attempt<()> {
    if !changes.closed.is_empty() {
        let closed: Vec<Uuid> = changes.closed.iter().map(|id| Uuid(id.0)).collect();
        tx.execute("DELETE FROM tickets WHERE id = ANY ($1::uuid[])", &[&closed])?;
    }
    save_tickets(tx, &changes.tickets)?;
    save_ledgers(tx, &changes.ledgers)?;
    save_pairs(tx, &changes.pairs)?;
    changes.treasury.as_ref().map_or(Ok(()), |treasury| save_treasury(tx, treasury))
}

fn save_tickets(tx: &mut Tx<'_>, rows: &[TicketRow]) -> Attempt<()> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO tickets (id, account, file_hash, size, chunk_size, escrow_mt, paid_mt, fined_mt, paid, sources, \
         opened_at, renewed_at, expires_at) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bigint[], \
         $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[], $11::bigint[], \
         $12::bigint[], $13::bigint[]) ON CONFLICT (account, file_hash) DO UPDATE SET id = EXCLUDED.id, size = \
         EXCLUDED.size, chunk_size = EXCLUDED.chunk_size, escrow_mt = EXCLUDED.escrow_mt, paid_mt = EXCLUDED.paid_mt, \
         fined_mt = EXCLUDED.fined_mt, paid = EXCLUDED.paid, sources = EXCLUDED.sources, opened_at = \
         EXCLUDED.opened_at, renewed_at = EXCLUDED.renewed_at, expires_at = EXCLUDED.expires_at",
        &[
            &column(rows, |row| Uuid(row.id.0)),
            &column(rows, |row| Uuid(row.account.0)),
            &column(rows, |row| row.file_hash.0.as_slice()),
            &column(rows, |row| row.geometry.size().0 as i64),
            &column(rows, |row| i64::from(row.geometry.chunk_size())),
            &column(rows, |row| row.escrow_mt),
            &column(rows, |row| row.paid_mt),
            &column(rows, |row| row.fined_mt),
            &column(rows, |row| row.paid.as_bytes()),
            &column(rows, |row| encode_sources(&row.sources)),
            &column(rows, |row| row.opened_at.0),
            &column(rows, |row| row.renewed_at.0),
            &column(rows, |row| row.expires_at.0),
        ],
    )?;
    Ok(())
}

/// Every row must exist: an account's ledger is made with it.
pub(super) fn save_ledgers(tx: &mut Tx<'_>, rows: &[LedgerRow]) -> Attempt<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let masses = MassColumns::of(rows, |row| &row.masses);
    let saved = tx.execute(
        "UPDATE ledger SET balance_mt = n.balance_mt, root = n.root, established_once = n.established_once, sessions \
         = n.sessions, proofs = n.proofs, garbage = n.garbage, root_failures = n.root_failures, root_successes = \
         n.root_successes, hearsay = n.hearsay, masses_at = n.masses_at, score = n.score, tickets_open = \
         n.tickets_open, minute_started_at = n.minute_started_at, opened_in_minute = n.opened_in_minute FROM \
         unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::boolean[], $5::float8[], $6::float8[], $7::float8[], \
         $8::float8[], $9::float8[], $10::float8[], $11::bigint[], $12::float8[], $13::bigint[], $14::bigint[], \
         $15::bigint[]) AS n (peer, balance_mt, root, established_once, sessions, proofs, garbage, root_failures, \
         root_successes, hearsay, masses_at, score, tickets_open, minute_started_at, opened_in_minute) WHERE \
         ledger.peer = n.peer",
        &[
            &column(rows, |row| Uuid(row.peer.0)),
            &column(rows, |row| row.balance_mt),
            &column(rows, |row| row.root),
            &column(rows, |row| row.established_once),
            &masses.sessions,
            &masses.proofs,
            &masses.garbage,
            &masses.root_failures,
            &masses.root_successes,
            &masses.hearsay,
            &masses.at,
            &column(rows, |row| row.score),
            &column(rows, |row| row.tickets_open),
            &column(rows, |row| row.minute_started_at.0),
            &column(rows, |row| row.opened_in_minute),
        ],
    )?;
    if saved == rows.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Failed("a changed account has no ledger row".into()).into())
    }
}

fn save_pairs(tx: &mut Tx<'_>, rows: &[PairRow]) -> Attempt<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let masses = MassColumns::of(rows, |row| &row.masses);
    tx.execute(
        "INSERT INTO pairs (reporter, target, sessions, proofs, garbage, root_failures, root_successes, hearsay, \
         masses_at, demoted_until) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::float8[], $4::float8[], \
         $5::float8[], $6::float8[], $7::float8[], $8::float8[], $9::bigint[], $10::bigint[]) ON CONFLICT (reporter, \
         target) DO UPDATE SET sessions = EXCLUDED.sessions, proofs = EXCLUDED.proofs, garbage = EXCLUDED.garbage, \
         root_failures = EXCLUDED.root_failures, root_successes = EXCLUDED.root_successes, hearsay = \
         EXCLUDED.hearsay, masses_at = EXCLUDED.masses_at, demoted_until = EXCLUDED.demoted_until",
        &[
            &column(rows, |row| Uuid(row.reporter.0)),
            &column(rows, |row| Uuid(row.target.0)),
            &masses.sessions,
            &masses.proofs,
            &masses.garbage,
            &masses.root_failures,
            &masses.root_successes,
            &masses.hearsay,
            &masses.at,
            &column(rows, |row| row.demoted_until.0),
        ],
    )?;
    Ok(())
}

/// The seven numbers of a [`Masses`], as arrays.
struct MassColumns {
    sessions: Vec<f64>,
    proofs: Vec<f64>,
    garbage: Vec<f64>,
    root_failures: Vec<f64>,
    root_successes: Vec<f64>,
    hearsay: Vec<f64>,
    at: Vec<i64>,
}

impl MassColumns {
    fn of<R>(rows: &[R], masses: impl Fn(&R) -> &Masses) -> Self {
        Self {
            sessions: column(rows, |row| masses(row).sessions),
            proofs: column(rows, |row| masses(row).proofs),
            garbage: column(rows, |row| masses(row).garbage),
            root_failures: column(rows, |row| masses(row).root_failures),
            root_successes: column(rows, |row| masses(row).root_successes),
            hearsay: column(rows, |row| masses(row).hearsay),
            at: column(rows, |row| masses(row).at.0),
        }
    }
}
