//! `admin invite create`, `list` and `revoke`.

use std::fmt::Write as _;
use std::time::Duration;

use peernet_engine::time::UnixMillis;
use serde_json::{Value, json};

use crate::base::calendar::utc;
use crate::domain::accounts::invites::{hash_code, new_code, with_fingerprint};
use crate::store::Store;
use crate::store::accounts::AccountWrite;
use crate::store::invites::Invite;

use super::accounts::change;
use super::{AdminError, Result, check_text};

/// The most uses of one invite.
const USES_MAX: u32 = 1_000_000;
/// The longest life of an invite, in days.
const DAYS_MAX: u32 = 3_650;
const DAY: Duration = Duration::from_secs(86_400);

/// The settings of a new invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvite {
    /// The number of accounts that may register with it.
    pub uses: u32,
    /// The number of days until it expires.
    pub days: u32,
    /// A note for the operator.
    pub note: String,
}

/// Makes an invite. Returns the text for standard output, and a note for the operator that may be empty.
///
/// The text has the code, and the authority's fingerprint behind it if there is one.
pub fn create(
    store: &dyn Store,
    now: UnixMillis,
    new: &NewInvite,
    fingerprint: Option<&str>,
    as_json: bool,
) -> Result<(String, String)> {
    if !(1..=USES_MAX).contains(&new.uses) {
        return Err(AdminError::Usage(format!("--uses: must be 1 to {USES_MAX}")));
    }
    if !(1..=DAYS_MAX).contains(&new.days) {
        return Err(AdminError::Usage(format!("--days: must be 1 to {DAYS_MAX}")));
    }
    check_text("--note", &new.note)?;
    let code = new_code().map_err(|error| AdminError::Failed(format!("no randomness: {error}")))?;
    let invite = Invite {
        code_hash: hash_code(&code),
        uses: new.uses,
        uses_left: new.uses,
        note: new.note.clone(),
        created_at: now,
        expires_at: now.plus(DAY * new.days),
        revoked_at: None,
    };
    change(store, now, AccountWrite::PutInvite(invite.clone()), "", "this code exists already; try again")?;
    let code = fingerprint.map_or_else(|| code.clone(), |fingerprint| with_fingerprint(&code, fingerprint));
    if as_json {
        let mut shown = to_json(&invite, now);
        shown["code"] = json!(code);
        return Ok((shown.to_string(), String::new()));
    }
    let id = invite.id();
    let until = utc(invite.expires_at);
    Ok((code, format!("invite {id}: {} uses, until {until}; the code is not shown again", invite.uses)))
}

/// Lists the newest invites, without their codes: only their hashes are stored.
pub fn list(store: &dyn Store, now: UnixMillis, as_json: bool) -> Result<String> {
    let found = store.invites()?;
    if as_json {
        let invites: Vec<Value> = found.iter().map(|invite| to_json(invite, now)).collect();
        return Ok(json!({"invites": invites}).to_string());
    }
    let mut text = format!("{:<12}  {:<8}  {:>13}  {:<20}  NOTE", "ID", "STATE", "LEFT", "EXPIRES");
    for invite in &found {
        let id = invite.id();
        let left = format!("{} of {}", invite.uses_left, invite.uses);
        let state = state(invite, now);
        let until = utc(invite.expires_at);
        let _ = write!(text, "\n{id:<12}  {state:<8}  {left:>13}  {until:<20}  {}", invite.note);
    }
    Ok(text)
}

/// Revokes an invite by the id that `list` shows. Accounts that were made with it stay.
pub fn revoke(store: &dyn Store, now: UnixMillis, id: &str) -> Result<String> {
    let wanted = id.to_ascii_lowercase();
    let found = store.invites()?.into_iter().find(|invite| invite.id() == wanted);
    let invite =
        found.ok_or_else(|| AdminError::No(format!("there is no invite {id}; `admin invite list` shows all")))?;
    let write = AccountWrite::RevokeInvite { code_hash: invite.code_hash };
    change(store, now, write, &format!("revoked invite {wanted}"), &format!("invite {wanted} is revoked already"))
}

fn state(invite: &Invite, now: UnixMillis) -> &'static str {
    match invite {
        _ if invite.is_good(now) => "good",
        Invite { revoked_at: Some(_), .. } => "revoked",
        Invite { uses_left: 0, .. } => "used up",
        _ => "expired",
    }
}

fn to_json(invite: &Invite, now: UnixMillis) -> Value {
    json!({
        "id": invite.id(),
        "state": state(invite, now),
        "uses": invite.uses,
        "uses_left": invite.uses_left,
        "note": invite.note,
        "created_at": invite.created_at.as_secs(),
        "expires_at": invite.expires_at.as_secs(),
    })
}
