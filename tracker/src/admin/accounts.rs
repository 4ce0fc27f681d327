//! `admin users`, `show`, `suspend`, `resume` and `revoke`.

use std::fmt::Write as _;

use peernet_engine::economy::{shown_score, shown_tokens};
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use serde_json::{Value, json};

use crate::base::calendar::utc;
use crate::store::accounts::{AccountEntry, AccountQuery, AccountWrite};
use crate::store::devices::Device;
use crate::store::{Durability, Store, Write, Written};

use super::{AdminError, Result, check_text};

/// Lists a page of accounts, as a table or as one JSON object with `users` and `next`.
pub fn list(store: &dyn Store, query: &AccountQuery, as_json: bool) -> Result<String> {
    let found = store.accounts(query)?;
    let next = (found.len() == query.limit).then(|| found.last().map(|entry| entry.account.id.to_string())).flatten();
    if as_json {
        let users: Vec<Value> = found.iter().map(to_json).collect();
        return Ok(json!({"users": users, "next": next}).to_string());
    }
    let mut text = format!("{:<36}  {:<9}  {:<20}  {:>12}  ADDRESS", "ID", "STATE", "CREATED", "METADATA");
    for entry in &found {
        let account = &entry.account;
        let created = utc(account.created_at);
        let address = account.address.as_deref().unwrap_or("-");
        let _ = write!(
            text,
            "\n{:<36}  {:<9}  {created:<20}  {:>12}  {address}",
            account.id,
            state(entry),
            entry.metadata_bytes
        );
    }
    if let Some(next) = next {
        let _ = write!(text, "\nThere may be more: --after {next}");
    }
    Ok(text)
}

/// Shows everything about one account.
pub fn show(store: &dyn Store, now: UnixMillis, named: &str, as_json: bool) -> Result<String> {
    let entry = find(store, named)?;
    let devices = store.devices(entry.account.id, now)?;
    let ledger = store.ledger(entry.account.id)?;
    let balance_mt = ledger.as_ref().map_or(0, |row| row.balance_mt);
    let score = ledger.as_ref().map_or(0.0, |row| shown_score(row.score));
    if as_json {
        let mut shown = to_json(&entry);
        shown["token_balance_mt"] = json!(balance_mt);
        shown["reputation_score"] = json!(score);
        shown["devices"] = devices.iter().map(device_to_json).collect();
        return Ok(shown.to_string());
    }
    let mut text =
        format!("id          {}\naddress     {}", entry.account.id, entry.account.address.as_deref().unwrap_or("-"));
    let _ = write!(text, "\nstate       {}", state(&entry));
    if let Some(suspension) = &entry.suspended {
        let _ = write!(text, " since {}: {}", utc(suspension.at), suspension.reason);
    }
    let _ = write!(text, "\ncreated     {}\ngeneration  {}", utc(entry.account.created_at), entry.account.generation);
    let _ = write!(text, "\nmetadata    {} bytes\ntokens      {}", entry.metadata_bytes, shown_tokens(balance_mt));
    let _ = write!(text, "\nscore       {score}");
    for device in &devices {
        let label = &device.label;
        let scopes = device.scopes;
        let seen = utc(device.seen_at);
        let _ = write!(text, "\ndevice      {} {label:?} for {scopes}, seen {seen}", device.id);
    }
    Ok(text)
}

/// Suspends an account. Within 5 s every tracker of this database refuses it.
pub fn suspend(store: &dyn Store, now: UnixMillis, named: &str, reason: &str) -> Result<String> {
    if reason.trim().is_empty() {
        return Err(AdminError::Usage("--reason: give a reason; the audit log keeps it".into()));
    }
    check_text("--reason", reason)?;
    let id = find(store, named)?.account.id;
    let write = AccountWrite::Suspend { id, reason: reason.to_owned() };
    change(store, now, write, &format!("suspended {id}"), &format!("{id} is suspended already"))
}

/// Ends the suspension of an account.
pub fn resume(store: &dyn Store, now: UnixMillis, named: &str) -> Result<String> {
    let id = find(store, named)?.account.id;
    change(store, now, AccountWrite::Resume { id }, &format!("resumed {id}"), &format!("{id} is not suspended"))
}

/// Revokes all tokens and devices of an account.
pub fn revoke(store: &dyn Store, now: UnixMillis, named: &str) -> Result<String> {
    let id = find(store, named)?.account.id;
    change(store, now, AccountWrite::Revoke { id }, &format!("revoked every token and device of {id}"), "")
}

/// Commits one change and returns `done`. A change that was made before is an error with the text `known`, so that a script
/// notices it.
pub(super) fn change(
    store: &dyn Store,
    now: UnixMillis,
    write: AccountWrite,
    done: &str,
    known: &str,
) -> Result<String> {
    match store.write(now, &[Write::Account(write)], Durability::Synced)?.first() {
        Some(Written::Done) => Ok(done.to_owned()),
        Some(Written::Unchanged) => Err(AdminError::No(known.to_owned())),
        _ => Err(AdminError::No("it does not exist any more".into())),
    }
}

/// Finds an account by its id or its registered address.
fn find(store: &dyn Store, named: &str) -> Result<AccountEntry> {
    let id: Option<PeerId> = match named.parse() {
        Ok(id) => Some(id),
        Err(_) => store.account_by_address(&named.to_ascii_lowercase())?.map(|account| account.id),
    };
    let found = id.map(|id| store.account_entry(id)).transpose()?.flatten();
    found.ok_or_else(|| AdminError::No(format!("there is no account {named}")))
}

fn state(entry: &AccountEntry) -> &'static str {
    if entry.suspended.is_some() { "suspended" } else { "active" }
}

fn device_to_json(device: &Device) -> Value {
    json!({
        "device_id": device.id.to_string(),
        "label": device.label,
        "scopes": device.scopes.words(),
        "created_at": device.created_at.as_secs(),
        "seen_at": device.seen_at.as_secs(),
    })
}

fn to_json(entry: &AccountEntry) -> Value {
    json!({
        "peer_id": entry.account.id.to_string(),
        "address": entry.account.address,
        "state": state(entry),
        "suspended_at": entry.suspended.as_ref().map(|suspension| suspension.at.as_secs()),
        "suspended_reason": entry.suspended.as_ref().map(|suspension| &suspension.reason),
        "created_at": entry.account.created_at.as_secs(),
        "generation": entry.account.generation,
        "metadata_bytes": entry.metadata_bytes,
    })
}
