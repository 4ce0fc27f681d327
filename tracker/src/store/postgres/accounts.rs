//! The tables `accounts` and `account_usage`.
//!
//! Changes of accounts come a few a second, because hashing a password is slow. So each is its own statement.

use std::collections::BTreeMap;

use peernet_engine::economy::{LedgerRow, TreasuryRow};
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

use crate::store::accounts::{Account, AccountEntry, AccountQuery, AccountWrite, Accounts, PAGE_MAX, PasswordChange};
use crate::store::audit_log::{Action, AuditEntry};
use crate::store::columns::{self, account_columns, account_entries};
use crate::store::devices::ended_with_account;
use crate::store::invites::CodeHash;
use crate::store::text::{folded, pattern, storable};
use crate::store::{Result, StoreError, Write, Written};

use super::audit_log::note;
use super::connection::{Attempt, Session, Tx, Uuid, column};
use super::{PostgresStore, devices, invites, ledger};

impl Accounts for PostgresStore {
    fn account(&self, id: PeerId) -> Result<Option<Account>> {
        let sql = concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&Uuid(id.0)]))?;
        rows.first().map(columns::account).transpose()
    }

    fn account_by_address(&self, address: &str) -> Result<Option<Account>> {
        let sql = concat!("SELECT ", account_columns!(), " FROM accounts WHERE address = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&storable(address).as_ref()]))?;
        rows.first().map(columns::account).transpose()
    }

    fn accounts(&self, query: &AccountQuery) -> Result<Vec<AccountEntry>> {
        self.connections.run(|session| accounts(session, query))
    }

    fn account_entry(&self, id: PeerId) -> Result<Option<AccountEntry>> {
        let sql = concat!(account_entries!(), " WHERE a.id = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&Uuid(id.0)]))?;
        rows.first().map(columns::account_entry).transpose()
    }

    fn suspended(&self) -> Result<Vec<PeerId>> {
        let sql = "SELECT id FROM accounts WHERE suspended_at IS NOT NULL";
        self.connections.run(|session| session.query(sql, &[]))?.iter().map(columns::peer).collect()
    }

    fn metadata_bytes(&self, account: PeerId) -> Result<u64> {
        let sql = "SELECT metadata_bytes FROM account_usage WHERE account = $1";
        let rows = self.connections.run(|session| session.query(sql, &[&Uuid(account.0)]))?;
        rows.first().map_or(Ok(0), columns::size)
    }
}

fn accounts(session: &mut Session, page: &AccountQuery) -> Attempt<Vec<AccountEntry>> {
    let after = page.after.map(|id| Uuid(id.0));
    let matching = page.matching.as_ref().map(|text| pattern(&folded(text)));
    let limit = page.limit.min(PAGE_MAX) as i64;
    let sql = concat!(
        account_entries!(),
        " WHERE ($1::uuid IS NULL OR a.id > $1) AND \
         ($2::text IS NULL OR a.address LIKE $2) ORDER BY a.id LIMIT $3"
    );
    let rows = session.query(sql, &[&after, &matching, &limit])?;
    Ok(rows.iter().map(columns::account_entry).collect::<Result<_>>()?)
}

/// Applies the changes of accounts, devices and invites in a batch, in order.
pub(super) fn write(tx: &mut Tx<'_>, now: UnixMillis, batch: &[Write], written: &mut [Written]) -> Attempt<()> {
    let creates = batch.iter().any(|write| matches!(write, Write::CreateAccount { .. }));
    // Locked before any account is inserted: two trackers then take the same locks in the same order.
    let mut treasury = if creates { Some(ledger::lock_treasury(tx)?) } else { None };
    let before = treasury.clone();
    for (write, written) in batch.iter().zip(written) {
        match write {
            Write::CreateAccount { account, invite } => {
                let treasury = match &mut treasury {
                    Some(locked) => locked,
                    unlocked => unlocked.insert(ledger::lock_treasury(tx)?),
                };
                *written = create(tx, now, account, invite.as_ref(), treasury)?;
            }
            Write::SetPassword { id, generation, password_hash, device } => {
                let change =
                    PasswordChange { id: *id, generation: *generation, password_hash, device: device.as_ref() };
                *written = set_password(tx, now, &change)?;
            }
            Write::Account(write) => *written = apply(tx, now, write)?,
            Write::PutManifest(_)
            | Write::PutSignature(_)
            | Write::Leave { .. }
            | Write::SealV1(_)
            | Write::Policy(_) => {}
        }
    }
    match treasury {
        Some(after) if Some(&after) != before.as_ref() => ledger::save_treasury(tx, &after),
        _ => Ok(()),
    }
}

/// Applies one change of an account, a device or an invite.
fn apply(tx: &mut Tx<'_>, now: UnixMillis, write: &AccountWrite) -> Attempt<Written> {
    match write {
        AccountWrite::Suspend { id, reason } => suspend(tx, now, *id, reason),
        AccountWrite::Resume { id } => resume(tx, now, *id),
        AccountWrite::Revoke { id } => revoke(tx, now, *id),
        AccountWrite::AddDevice { device, generation } => devices::add(tx, now, device, *generation),
        AccountWrite::RenewDevice(renewal) => devices::renew(tx, now, renewal),
        AccountWrite::RevokeDevice { account, id } => devices::revoke(tx, now, *account, *id),
        AccountWrite::PutInvite(invite) => invites::put(tx, now, invite),
        AccountWrite::RevokeInvite { code_hash } => invites::revoke(tx, now, code_hash),
        AccountWrite::Note(entry) => note(tx, now, entry).map(|()| Written::Done),
    }
}

/// Creates an account with its ledger row and its grant. An invite is used up only by an account that is created.
fn create(
    tx: &mut Tx<'_>,
    now: UnixMillis,
    account: &Account,
    invite: Option<&CodeHash>,
    treasury: &mut TreasuryRow,
) -> Attempt<Written> {
    if let Some(invite) = invite {
        // The lock on the treasury keeps other transactions from creating the same account in between.
        if let Some(written) = conflict(tx, account)? {
            return Ok(written);
        }
        if !invites::use_up(tx, now, account.id, invite)? {
            return Ok(Written::InviteRefused);
        }
    }
    let written = insert(tx, account)?;
    if written == Written::Done {
        ledger::insert(tx, &LedgerRow::new(account.id, treasury.grant_registration(now), now))?;
        note(tx, now, &AuditEntry::by_client(Action::Registered, account.id, ""))?;
    }
    Ok(written)
}

fn insert(tx: &mut Tx<'_>, account: &Account) -> Attempt<Written> {
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

/// Returns the outcome that an existing account causes, if one has the same id or address.
fn conflict(tx: &mut Tx<'_>, account: &Account) -> Attempt<Option<Written>> {
    let address = account.address.as_deref().map(storable);
    let rows = tx.query(
        concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = $1 OR address = $2"),
        &[&Uuid(account.id.0), &address.as_deref()],
    )?;
    let found = rows.iter().map(columns::account).collect::<Result<Vec<_>>>()?;
    if found.iter().any(|known| known.id == account.id) {
        return Ok(Some(Written::Unchanged));
    }
    Ok(found.into_iter().next().map(|owner| Written::AddressTaken(Box::new(owner))))
}

fn set_password(tx: &mut Tx<'_>, now: UnixMillis, change: &PasswordChange<'_>) -> Attempt<Written> {
    let updated = tx.execute(
        "UPDATE accounts SET password_hash = $3, generation = generation + 1 WHERE id = $1 AND generation = $2",
        &[&Uuid(change.id.0), &i64::from(change.generation), &storable(change.password_hash).as_ref()],
    )?;
    if updated == 0 {
        return Ok(Written::Stale);
    }
    let ended = ended_with_account(devices::revoke_all(tx, now, change.id)?);
    note(tx, now, &AuditEntry::by_client(Action::PasswordChanged, change.id, &ended))?;
    change.device.map_or(Ok(()), |device| devices::insert(tx, now, device))?;
    Ok(Written::Done)
}

fn suspend(tx: &mut Tx<'_>, now: UnixMillis, id: PeerId, reason: &str) -> Attempt<Written> {
    let updated = tx.execute(
        "UPDATE accounts SET suspended_at = $2, suspended_reason = $3 WHERE id = $1 AND suspended_at IS NULL",
        &[&Uuid(id.0), &now.0, &storable(reason).as_ref()],
    )?;
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Suspended, id, reason))
}

fn resume(tx: &mut Tx<'_>, now: UnixMillis, id: PeerId) -> Attempt<Written> {
    let updated = tx.execute(
        "UPDATE accounts SET suspended_at = NULL, suspended_reason = NULL WHERE id = $1 AND suspended_at IS NOT NULL",
        &[&Uuid(id.0)],
    )?;
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Resumed, id, ""))
}

fn revoke(tx: &mut Tx<'_>, now: UnixMillis, id: PeerId) -> Attempt<Written> {
    let updated = tx.execute("UPDATE accounts SET generation = generation + 1 WHERE id = $1", &[&Uuid(id.0)])?;
    let ended = ended_with_account(devices::revoke_all(tx, now, id)?);
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Revoked, id, &ended))
}

/// Writes the audit row of a change. Where no row was changed, returns the reason.
fn changed(tx: &mut Tx<'_>, now: UnixMillis, updated: u64, entry: &AuditEntry) -> Attempt<Written> {
    if updated == 1 {
        note(tx, now, entry)?;
        return Ok(Written::Done);
    }
    let account = entry.account.map(|id| Uuid(id.0));
    let known = tx.query("SELECT 1 FROM accounts WHERE id = $1", &[&account])?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Unchanged })
}

/// Adds to the bytes of metadata of accounts, in the order of their ids. Their rows are locked already.
pub(super) fn count_metadata(tx: &mut Tx<'_>, usage: &BTreeMap<[u8; 16], i64>) -> Attempt<()> {
    if usage.is_empty() {
        return Ok(());
    }
    let rows: Vec<(&[u8; 16], &i64)> = usage.iter().collect();
    tx.execute(
        "INSERT INTO account_usage (account, metadata_bytes) SELECT * FROM unnest($1::uuid[], $2::bigint[]) ON CONFLICT \
         (account) DO UPDATE SET metadata_bytes = account_usage.metadata_bytes + EXCLUDED.metadata_bytes",
        &[&column(&rows, |(account, _)| Uuid(**account)), &column(&rows, |(_, bytes)| **bytes)],
    )?;
    Ok(())
}
