//! The way from earlier versions of the tables to this one, for both stores.
//!
//! A new database is made by the schema files alone. One of an earlier version first goes through the steps from there, in order, and
//! then through the schema files, which make what is missing (`IF NOT EXISTS`). So a step has what those cannot do: changes of tables
//! that exist, and filling what is new from what is there.

/// The version that the schema files make. A change of a table that exists raises it, or adds a step to the version that is not out yet.
pub(super) const VERSION: i64 = 2;

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
];

/// What was in them is announced again within minutes; a version 1 file that was half announced is announced again.
const DROP_LEASES: &str = "DROP TABLE IF EXISTS leases; DROP TABLE IF EXISTS v1_staged";

const COUNT_METADATA: &str = "INSERT INTO account_usage (account, metadata_bytes) SELECT announced_by, \
     sum(length(chunk_hashes) + 256) FROM manifests GROUP BY announced_by";

/// The steps from a version to this one.
pub(super) fn steps_from(version: i64) -> impl Iterator<Item = &'static Step> {
    STEPS.iter().filter(move |step| step.version > version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_in_order_and_end_at_this_version() {
        assert!(STEPS.is_sorted_by_key(|step| step.version));
        assert_eq!(STEPS.last().map(|step| step.version), Some(VERSION));
        assert_eq!(steps_from(VERSION).count(), 0);
        assert_eq!(steps_from(1).count(), STEPS.iter().filter(|step| step.version == 2).count());
    }
}
