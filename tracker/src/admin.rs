//! The operator's work beside serving: accounts, invites, the audit log, backups, and checks of the ledger and the machine.
//!
//! Everything works on the store directly, whether or not a tracker is running. Each function returns the text to print.

mod accounts;
mod audit;
mod authority;
mod backup;
pub mod doctor;
mod health;
mod invites;
mod ledger;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use accounts::{list as list_accounts, resume, revoke, show, suspend};
pub use audit::list as list_audit;
pub use authority::{fingerprint, issue_for_proxy, rotate as rotate_authority, show as show_authority};
pub use backup::{backup, restore};
pub use health::check as check_health;
pub use invites::{NewInvite, create as create_invite, list as list_invites, revoke as revoke_invite};
pub use ledger::{LedgerReport, verify as verify_ledger};

use crate::boot::config::Config;
use crate::boot::{DATABASE_FILE, open_store};
use crate::store::SCHEMA_VERSION;
use crate::store::{Store, StoreError};

/// The reason why a command failed.
#[derive(Debug)]
pub enum AdminError {
    /// An argument makes no sense, or the command does not fit this store.
    Usage(String),
    /// The account or invite does not exist, or is in that state already.
    No(String),
    /// The store or a file cannot be used.
    Failed(String),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(why) | Self::No(why) | Self::Failed(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for AdminError {}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The result of a function of this module.
pub type Result<T> = std::result::Result<T, AdminError>;

/// Opens the store of an existing tracker. Makes no tables and upgrades none.
pub fn open(config: &Config) -> Result<Arc<dyn Store>> {
    if config.database_url.reveal().is_none() {
        sqlite_database(config)?;
    }
    let store = open_store(config)?;
    match store.facts()?.schema_version {
        Some(SCHEMA_VERSION) => Ok(store),
        Some(found) if found < SCHEMA_VERSION => Err(AdminError::Failed(format!(
            "the database has schema version {found}: start this version of the tracker once, which upgrades it"
        ))),
        Some(found) => {
            Err(AdminError::Failed(format!("the database has schema version {found}: this program is too old for it")))
        }
        None => Err(AdminError::Failed("there are no tables of a tracker in the database".into())),
    }
}

/// Returns the path of the SQLite database, which must exist.
fn sqlite_database(config: &Config) -> Result<PathBuf> {
    let database = config.data_dir.join(DATABASE_FILE);
    match database.exists() {
        true => Ok(database),
        false => Err(AdminError::Failed(format!("there is no tracker in {}", config.data_dir.display()))),
    }
}

/// Refuses a text that the store cannot keep whole.
fn check_text(name: &str, text: &str) -> Result<()> {
    let max = crate::store::accounts::TEXT_BYTES_MAX;
    let plain = text.len() <= max && !text.chars().any(char::is_control);
    if plain {
        Ok(())
    } else {
        Err(AdminError::Usage(format!("{name}: at most {max} bytes, without control characters")))
    }
}

#[cfg(test)]
mod tests;
