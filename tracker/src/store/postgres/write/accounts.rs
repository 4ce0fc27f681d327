//! Accounts: made with their ledger row and their grant in one transaction. They come a few a second, because hashing a
//! password is slow, so each is its own statement.

use peernet_engine::economy::LedgerRow;
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

use crate::store::columns::{self, account_columns};
use crate::store::text::storable;
use crate::store::{Account, StoreError, Write, Written};

use super::super::ledger;
use super::super::session::Tx;
use super::super::trouble::Trouble;
use super::super::values::Uuid;

pub(super) fn write(tx: &mut Tx<'_>, now: UnixMillis, batch: &[Write], written: &mut [Written]) -> Result<(), Trouble> {
    let creates = batch.iter().any(|write| matches!(write, Write::CreateAccount(_)));
    // Locked before any account is inserted: two trackers then take the same locks in the same order.
    let mut treasury = if creates { Some(ledger::lock_treasury(tx)?) } else { None };
    let before = treasury.clone();
    for (write, written) in batch.iter().zip(written) {
        match (write, &mut treasury) {
            (Write::CreateAccount(account), Some(treasury)) => {
                *written = insert(tx, account)?;
                if *written == Written::Done {
                    let grant_mt = treasury.grant_registration(now);
                    ledger::insert(tx, &LedgerRow::new(account.id, grant_mt, now))?;
                }
            }
            (Write::SetPassword { id, generation, password_hash }, _) => {
                *written = set_password(tx, *id, *generation, password_hash)?;
            }
            _ => {}
        }
    }
    match treasury {
        Some(after) if Some(&after) != before.as_ref() => ledger::save_treasury(tx, &after),
        _ => Ok(()),
    }
}

fn insert(tx: &mut Tx<'_>, account: &Account) -> Result<Written, Trouble> {
    let address = account.address.as_deref().map(storable);
    let address = address.as_deref();
    let inserted = tx.execute(
        "INSERT INTO accounts (id, address, password_hash, generation, created_at) VALUES ($1, $2, $3, $4, $5) ON \
         CONFLICT DO NOTHING",
        &[
            &Uuid(account.id.0),
            &address,
            &storable(&account.password_hash).as_ref(),
            &i64::from(account.generation),
            &account.created_at.0,
        ],
    )?;
    if inserted == 1 {
        return Ok(Written::Done);
    }
    let rows = tx.query(
        concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = $1 OR address = $2"),
        &[&Uuid(account.id.0), &address],
    )?;
    let found = rows.iter().map(columns::account).collect::<Result<Vec<_>, StoreError>>()?;
    if found.iter().any(|known| known.id == account.id) {
        return Ok(Written::Known);
    }
    let owner = found.into_iter().next();
    owner
        .map(|owner| Written::AddressTaken(Box::new(owner)))
        .ok_or_else(|| StoreError::Failed("an account conflicts with none".into()).into())
}

fn set_password(tx: &mut Tx<'_>, id: PeerId, generation: u32, password_hash: &str) -> Result<Written, Trouble> {
    let updated = tx.execute(
        "UPDATE accounts SET password_hash = $3, generation = generation + 1 WHERE id = $1 AND generation = $2",
        &[&Uuid(id.0), &i64::from(generation), &storable(password_hash).as_ref()],
    )?;
    Ok(if updated == 1 { Written::Done } else { Written::Stale })
}
