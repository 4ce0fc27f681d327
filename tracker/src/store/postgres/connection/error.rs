//! The classes of PostgreSQL's errors: repeat at once, answer 503, or a defect of this program.

use std::error::Error as _;
use std::io;

use postgres::error::SqlState;

use crate::store::StoreError;

/// The result of one attempt at a unit of work.
pub(in crate::store::postgres) type Attempt<T> = Result<T, AttemptError>;

/// The error of an attempt, by the moment at which it failed.
#[derive(Debug)]
pub(in crate::store::postgres) enum AttemptError {
    /// The attempt failed before its commit was sent: nothing was saved.
    Db(postgres::Error),
    /// The attempt failed during the commit: the outcome is unknown unless the server reports that it refused.
    Commit(postgres::Error),
    /// The attempt must not be repeated.
    Final(StoreError),
}

impl AttemptError {
    /// Returns whether the connection is gone and nothing was saved.
    pub(in crate::store::postgres) fn is_lost(&self) -> bool {
        matches!(self, Self::Db(error) if connection_lost(error))
    }

    /// Returns whether the server rolled the transaction back because of a conflict with another one.
    pub(in crate::store::postgres) fn is_conflict(&self) -> bool {
        let (Self::Db(error) | Self::Commit(error)) = self else { return false };
        let conflicts = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
        error.code().is_some_and(|code| conflicts.contains(code))
    }

    /// Converts the error into one after which the attempt is not repeated.
    pub(in crate::store::postgres) fn finally(self) -> Self {
        Self::Final(self.into())
    }
}

impl From<StoreError> for AttemptError {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<AttemptError> for StoreError {
    fn from(error: AttemptError) -> Self {
        match error {
            AttemptError::Final(error) => error,
            AttemptError::Db(error) if unavailable(&error) => Self::Unavailable(describe(&error)),
            AttemptError::Db(error) => Self::Failed(describe(&error)),
            AttemptError::Commit(error) if unavailable(&error) => {
                Self::Unavailable(format!("while committing: {}", describe(&error)))
            }
            AttemptError::Commit(error) => Self::Failed(format!("while committing: {}", describe(&error))),
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

/// Describes an error in one line. The server's DETAIL is left out, because it quotes rows.
pub(in crate::store::postgres) fn describe(error: &postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
