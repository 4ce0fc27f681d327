//! Accounts and invites: an account is made with its ledger row and its grant, and each change with its row in the audit log. They come a
//! few a second, because hashing a password is slow, so each is its own statement.

mod devices;
mod registry;

use peernet_engine::economy::{LedgerRow, TreasuryRow};
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

use crate::store::columns::{self, account_columns};
use crate::store::devices::{NewDevice, ended_with_account};
use crate::store::registry::{AccountWrite, Action, AuditEntry, CodeHash};
use crate::store::text::storable;
use crate::store::{Account, StoreError, Write, Written};

use super::super::ledger;
use super::super::session::Tx;
use super::super::trouble::Trouble;
use super::super::values::Uuid;

pub(super) fn write(tx: &mut Tx<'_>, now: UnixMillis, batch: &[Write], written: &mut [Written]) -> Result<(), Trouble> {
    // Locked before any account is inserted: two trackers then take the same locks in the same order.
    let mut treasury = if batch.iter().any(creates) { Some(ledger::lock_treasury(tx)?) } else { None };
    let before = treasury.clone();
    for (write, written) in batch.iter().zip(written) {
        match (write, &mut treasury) {
            (Write::CreateAccount(account), Some(treasury)) => {
                *written = create(tx, now, account, None, treasury)?;
            }
            (Write::Account(AccountWrite::CreateInvited { account, code_hash }), Some(treasury)) => {
                *written = create(tx, now, account, Some(code_hash), treasury)?;
            }
            (Write::SetPassword { id, generation, password_hash, device }, _) => {
                *written = set_password(tx, now, *id, *generation, password_hash, device.as_ref())?;
            }
            (Write::Account(write), _) => *written = registry::write(tx, now, write)?,
            _ => {}
        }
    }
    match treasury {
        Some(after) if Some(&after) != before.as_ref() => ledger::save_treasury(tx, &after),
        _ => Ok(()),
    }
}

fn creates(write: &Write) -> bool {
    matches!(write, Write::CreateAccount(_) | Write::Account(AccountWrite::CreateInvited { .. }))
}

/// An invite is used only by an account that is made.
fn create(
    tx: &mut Tx<'_>,
    now: UnixMillis,
    account: &Account,
    invite: Option<&CodeHash>,
    treasury: &mut TreasuryRow,
) -> Result<Written, Trouble> {
    if let Some(invite) = invite {
        // The lock on the treasury keeps anyone from making the same account in between.
        if let Some(written) = conflict(tx, account)? {
            return Ok(written);
        }
        if !registry::use_invite(tx, now, account.id, invite)? {
            return Ok(Written::InviteRefused);
        }
    }
    let written = insert(tx, account)?;
    if written == Written::Done {
        ledger::insert(tx, &LedgerRow::new(account.id, treasury.grant_registration(now), now))?;
        registry::note(tx, now, &AuditEntry::by_client(Action::Registered, account.id, ""))?;
    }
    Ok(written)
}

fn insert(tx: &mut Tx<'_>, account: &Account) -> Result<Written, Trouble> {
    let address = account.address.as_deref().map(storable);
    let inserted = tx.execute(
        "INSERT INTO accounts (id, address, password_hash, generation, created_at) VALUES ($1, $2, $3, $4, $5) ON \
         CONFLICT DO NOTHING",
        &[
            &Uuid(account.id.0),
            &address.as_deref(),
            &storable(&account.password_hash).as_ref(),
            &i64::from(account.generation),
            &account.created_at.0,
        ],
    )?;
    if inserted == 1 {
        return Ok(Written::Done);
    }
    conflict(tx, account)?.ok_or_else(|| StoreError::Failed("an account conflicts with none".into()).into())
}

/// What keeps an account from being made, if anything does.
fn conflict(tx: &mut Tx<'_>, account: &Account) -> Result<Option<Written>, Trouble> {
    let address = account.address.as_deref().map(storable);
    let rows = tx.query(
        concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = $1 OR address = $2"),
        &[&Uuid(account.id.0), &address.as_deref()],
    )?;
    let found = rows.iter().map(columns::account).collect::<Result<Vec<_>, StoreError>>()?;
    if found.iter().any(|known| known.id == account.id) {
        return Ok(Some(Written::Known));
    }
    Ok(found.into_iter().next().map(|owner| Written::AddressTaken(Box::new(owner))))
}

fn set_password(
    tx: &mut Tx<'_>,
    now: UnixMillis,
    id: PeerId,
    generation: u32,
    password_hash: &str,
    device: Option<&NewDevice>,
) -> Result<Written, Trouble> {
    let updated = tx.execute(
        "UPDATE accounts SET password_hash = $3, generation = generation + 1 WHERE id = $1 AND generation = $2",
        &[&Uuid(id.0), &i64::from(generation), &storable(password_hash).as_ref()],
    )?;
    if updated == 0 {
        return Ok(Written::Stale);
    }
    let ended = ended_with_account(devices::revoke_all(tx, now, id)?);
    registry::note(tx, now, &AuditEntry::by_client(Action::PasswordChanged, id, &ended))?;
    device.map_or(Ok(()), |device| devices::insert(tx, now, device))?;
    Ok(Written::Done)
}
