//! The way from earlier versions of the tables to this one, for both stores.
//!
//! A new database is made by the schema files alone. One of an earlier version first goes through the steps from there, in order, and
//! then through the schema files, which make what is missing (`IF NOT EXISTS`). So a step has what those cannot do: changes of tables
//! that exist, and filling what is new from what is there.

use super::{Result, StoreError};

/// The version that the schema files make. A change of a table that exists raises it, or adds a step to the version that is not out yet.
pub(super) const VERSION: i64 = 4;

/// One change, in both dialects.
pub(super) struct Step {
    /// The version that it belongs to.
    pub(super) version: i64,
    /// Before the schema file is run.
    pub(super) before: Sql,
    /// After it was.
    pub(super) after: Sql,
}

/// The same in both dialects; empty where there is nothing to do.
pub(super) struct Sql {
    pub(super) postgres: &'static str,
    pub(super) embedded: &'static str,
}

const NOTHING: Sql = Sql { postgres: "", embedded: "" };

/// All steps, oldest first.
const STEPS: &[Step] = &[
    // Leases and half-announced files are in each tracker's own log.
    Step { version: 2, before: Sql { postgres: DROP_LEASES, embedded: DROP_LEASES }, after: NOTHING },
    // Accounts can be suspended.
    Step {
        version: 2,
        before: Sql {
            postgres: "ALTER TABLE accounts ADD COLUMN suspended_at bigint, ADD COLUMN suspended_reason text",
            embedded: "ALTER TABLE accounts ADD COLUMN suspended_at INTEGER; ALTER TABLE accounts ADD COLUMN \
                       suspended_reason TEXT",
        },
        after: NOTHING,
    },
    // Bytes of metadata are counted by account.
    Step { version: 2, before: NOTHING, after: Sql { postgres: COUNT_METADATA, embedded: COUNT_METADATA } },
    // Devices are a new table: the schema files have all of it.
    Step { version: 3, before: NOTHING, after: NOTHING },
    // Who may have which file, groups, and signatures of manifests are new tables too.
    Step { version: 4, before: NOTHING, after: NOTHING },
];

/// What was in them is announced again within minutes; a version 1 file that was half announced is announced again.
const DROP_LEASES: &str = "DROP TABLE IF EXISTS leases; DROP TABLE IF EXISTS v1_staged";

const COUNT_METADATA: &str = "INSERT INTO account_usage (account, metadata_bytes) SELECT announced_by, \
     sum(length(chunk_hashes) + 256) FROM manifests GROUP BY announced_by";

/// The steps from the version that was found, none for new tables; `None` where nothing is to be done. Tables of a later program are
/// refused; `what` they are in is for the message.
pub(super) fn steps_from(found: Option<i64>, what: &str) -> Result<Option<Vec<&'static Step>>> {
    match found {
        Some(VERSION) => Ok(None),
        Some(found) if found > VERSION => {
            let why = format!("the {what} has schema version {found}, this program knows {VERSION}: it is too old");
            Err(StoreError::Failed(why))
        }
        Some(found) => Ok(Some(STEPS.iter().filter(|step| step.version > found).collect())),
        None => Ok(Some(Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_in_order_and_end_at_this_version() {
        assert!(STEPS.is_sorted_by_key(|step| step.version));
        assert_eq!(STEPS.last().map(|step| step.version), Some(VERSION));
        let count = |found| steps_from(found, "file").map(|steps| steps.map(|steps| steps.len()));
        assert!(matches!(count(Some(VERSION)), Ok(None)) && matches!(count(None), Ok(Some(0))));
        assert!(count(Some(VERSION + 1)).is_err());
        assert_eq!(count(Some(1)).ok().flatten(), Some(STEPS.len()));
        assert_eq!(count(Some(2)).ok().flatten(), Some(STEPS.iter().filter(|step| step.version > 2).count()));
    }
}
