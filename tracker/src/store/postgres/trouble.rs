//! What a failure of PostgreSQL means: try again at once, answer 503, or a defect of ours.

use std::error::Error as _;
use std::io;

use postgres::error::SqlState;

use crate::store::StoreError;

/// Why a unit of work did not end well, and where it was.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Before its commit was sent: nothing was saved.
    Db(postgres::Error),
    /// While committing: the outcome is unknown unless the server itself says that it refused.
    Commit(postgres::Error),
    /// Not to be tried again, whatever it was.
    Final(StoreError),
}

impl Trouble {
    /// Whether the connection is gone and nothing was saved.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Db(error) if connection_lost(error))
    }

    /// Whether the server rolled the transaction back because of another one's.
    pub(super) fn is_conflict(&self) -> bool {
        let (Self::Db(error) | Self::Commit(error)) = self else { return false };
        let conflicts = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
        error.code().is_some_and(|code| conflicts.contains(code))
    }

    /// The same, as a failure that is not tried again.
    pub(super) fn finally(self) -> Self {
        Self::Final(self.into())
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Final(error) => error,
            Trouble::Db(error) if unavailable(&error) => Self::Unavailable(describe(&error)),
            Trouble::Db(error) => Self::Failed(describe(&error)),
            Trouble::Commit(error) if unavailable(&error) => {
                Self::Unavailable(format!("while committing: {}", describe(&error)))
            }
            Trouble::Commit(error) => Self::Failed(format!("while committing: {}", describe(&error))),
        }
    }
}

fn connection_lost(error: &postgres::Error) -> bool {
    if error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>()) {
        return true;
    }
    matches!(error.code(), Some(code) if code.code().starts_with("08")
        || [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code))
}

fn unavailable(error: &postgres::Error) -> bool {
    if connection_lost(error) {
        return true;
    }
    let Some(code) = error.code() else { return false };
    // Class 53: out of disk, memory or connections. 25006: a standby after a failover. 57014: a statement took too
    // long.
    code.code().starts_with("53")
        || [
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::QUERY_CANCELED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_CATALOG_NAME,
        ]
        .contains(code)
}

/// What went wrong in one line. The server's DETAIL is left out: it quotes rows.
pub(super) fn describe(error: &postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
