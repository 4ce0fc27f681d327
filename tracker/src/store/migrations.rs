//! The upgrade of earlier versions of the tables, for both databases.
//!
//! The schema files alone create a new database. A database of an earlier version goes through these steps first, in order, and then
//! through the schema files, which create missing tables (`IF NOT EXISTS`). So a step contains what those cannot do: changes of existing
//! tables, and filling new tables from existing rows.

use super::{Result, StoreError};

/// The version that the schema files create. A change of an existing table raises it, or adds a step to the unreleased version.
pub(super) const VERSION: i64 = 4;

/// One step, in both dialects.
pub(super) struct Step {
    /// The version that the step belongs to.
    pub(super) version: i64,
    /// Runs before the schema file.
    pub(super) before: Sql,
    /// Runs after it.
    pub(super) after: Sql,
}

/// The same statements in both dialects; empty where there is nothing to do.
pub(super) struct Sql {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

const NOTHING: Sql = Sql { postgres: "", sqlite: "" };

/// All steps, oldest first.
const STEPS: &[Step] = &[
    // Leases and incomplete version 1 announces moved to each tracker's own log.
    Step { version: 2, before: Sql { postgres: DROP_LEASES, sqlite: DROP_LEASES }, after: NOTHING },
    // Accounts can be suspended.
    Step {
        version: 2,
        before: Sql {
            postgres: "ALTER TABLE accounts ADD COLUMN suspended_at bigint, ADD COLUMN suspended_reason text",
            sqlite: "ALTER TABLE accounts ADD COLUMN suspended_at INTEGER; ALTER TABLE accounts ADD COLUMN \
                     suspended_reason TEXT",
        },
        after: NOTHING,
    },
    // Bytes of metadata are counted by account.
    Step { version: 2, before: NOTHING, after: Sql { postgres: COUNT_METADATA, sqlite: COUNT_METADATA } },
    // The table of devices is new: the schema files create it.
    Step { version: 3, before: NOTHING, after: NOTHING },
    // So are the tables of access policies, groups and manifest signatures.
    Step { version: 4, before: NOTHING, after: NOTHING },
];

/// Peers announce the dropped leases again within minutes. An incomplete version 1 announce starts again.
const DROP_LEASES: &str = "DROP TABLE IF EXISTS leases; DROP TABLE IF EXISTS v1_staged";

const COUNT_METADATA: &str = "INSERT INTO account_usage (account, metadata_bytes) SELECT announced_by, \
     sum(length(chunk_hashes) + 256) FROM manifests GROUP BY announced_by";

/// Returns the steps from the found version: none for new tables, `None` where nothing is to be done.
///
/// Tables of a later program are refused. `database` is the kind of database, for the message.
pub(super) fn steps_from(found: Option<i64>, database: &str) -> Result<Option<Vec<&'static Step>>> {
    match found {
        Some(VERSION) => Ok(None),
        Some(found) if found > VERSION => {
            let why = format!(
                "the {database} has schema version {found}, this program knows {VERSION}: upgrade peernet-tracker"
            );
            Err(StoreError::Failed(why))
        }
        Some(found) => Ok(Some(STEPS.iter().filter(|step| step.version > found).collect())),
        None => Ok(Some(Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(found: Option<i64>) -> Option<usize> {
        steps_from(found, "file").expect("no later version").map(|steps| steps.len())
    }

    #[test]
    fn steps_are_in_order_and_end_at_this_version() {
        assert!(STEPS.is_sorted_by_key(|step| step.version));
        assert_eq!(STEPS.last().map(|step| step.version), Some(VERSION));
    }

    #[test]
    fn only_the_steps_after_the_found_version_run() {
        assert_eq!(count(Some(VERSION)), None);
        assert_eq!(count(None), Some(0));
        assert_eq!(count(Some(1)), Some(STEPS.len()));
        assert_eq!(count(Some(2)), Some(STEPS.iter().filter(|step| step.version > 2).count()));
    }

    #[test]
    fn tables_of_a_later_program_are_refused() {
        let refused = steps_from(Some(VERSION + 1), "database").err().expect("refused");
        assert!(refused.to_string().contains("the database has schema version"), "{refused}");
    }
}
