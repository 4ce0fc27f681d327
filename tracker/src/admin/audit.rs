//! `admin audit`: the log of changes to accounts and invites.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::base::calendar::utc;
use crate::store::Store;
use crate::store::audit_log::{AuditQuery, AuditRow};

use super::Result;

/// Lists the newest rows, as a table or as one JSON object.
pub fn list(store: &dyn Store, query: &AuditQuery, as_json: bool) -> Result<String> {
    let found = store.audit_log(query)?;
    if as_json {
        let rows: Vec<Value> = found.iter().map(to_json).collect();
        return Ok(json!({"audit": rows}).to_string());
    }
    let mut text = format!("{:<20}  {:<8}  {:<16}  {:<36}  DETAIL", "TIME", "BY", "ACTION", "ACCOUNT");
    for row in &found {
        let account = row.account.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let at = utc(row.at);
        let detail = &row.detail;
        let _ = write!(text, "\n{at:<20}  {:<8}  {:<16}  {account:<36}  {detail}", row.actor, row.action);
    }
    Ok(text)
}

fn to_json(row: &AuditRow) -> Value {
    json!({
        "id": row.id,
        "at": row.at.as_secs(),
        "by": row.actor,
        "action": row.action,
        "peer_id": row.account.map(|id| id.to_string()),
        "detail": row.detail,
    })
}
