//! The end of the program: one exit code for each reaction that a script can have.

use std::fmt;

use crate::daemon::control::Problem;
use crate::discovery::tracker::TrackerError;
use crate::home::HomeError;
use crate::node::NodeError;

/// The exit codes. They stay the same in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Ok,
    Failure,
    Usage,
    Refused,
    NotFound,
    Verification,
    Network,
    LocalDisk,
    InTheWay,
    Interrupted,
    PipeClosed,
}

/// Every exit code, its stable word and its meaning: the table in `--help` and in docs/OPERATING.md.
pub const EXIT_CODES: &[(u8, &str, &str)] = &[
    (0, "ok", "done"),
    (1, "failure", "something else went wrong"),
    (2, "usage", "the command, a hash, an address or a setting makes no sense"),
    (3, "refused", "not logged in, or the tracker refuses"),
    (4, "not_found", "no peer shares it, or it is not shared here"),
    (5, "verification", "the bytes do not have the hash they should have"),
    (6, "network", "the tracker or the sources cannot be reached or do not deliver"),
    (7, "local_disk", "the local disk or file system refused"),
    (8, "in_the_way", "a file exists already, or another process uses the folder or port"),
    (130, "interrupted", "stopped by Ctrl-C or SIGTERM; a download goes on with the same command"),
    (141, "pipe_closed", "the reader of --stdout went away"),
];

impl Exit {
    /// Returns the number.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Verification => 5,
            Self::Network => 6,
            Self::LocalDisk => 7,
            Self::InTheWay => 8,
            Self::Interrupted => 130,
            Self::PipeClosed => 141,
        }
    }

    /// Returns the stable word for `code` in JSON.
    pub(super) fn word(self) -> &'static str {
        let row = EXIT_CODES.iter().find(|(code, _, _)| *code == self.code());
        row.map(|(_, word, _)| *word).expect("the table has every code; a test says so")
    }

    /// Reads a code that came over the control socket. An unknown one is a failure.
    pub(super) fn from_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Failure)
    }

    const ALL: [Self; 11] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::Refused,
        Self::NotFound,
        Self::Verification,
        Self::Network,
        Self::LocalDisk,
        Self::InTheWay,
        Self::Interrupted,
        Self::PipeClosed,
    ];
}

/// A failed command: the message for the user and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    /// Makes the failure of a command line or setting that makes no sense.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// Makes the failure of a daemon whose reply does not fit the request.
    pub(super) fn unexpected_reply() -> Self {
        let message = "the daemon sent a reply to another request; is it of another version? Restart it".to_owned();
        Self { exit: Exit::Failure, message }
    }

    /// Replaces the message.
    pub(super) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// Puts the subject of the failure in front of the message.
    pub(super) fn about(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let exit = match error {
            NodeError::Invalid(_) => Exit::Usage,
            NodeError::NotLoggedIn(_) | NodeError::Refused { .. } => Exit::Refused,
            NodeError::NotFound(_) => Exit::NotFound,
            NodeError::Unreachable(_) => Exit::Network,
            NodeError::Verification(_) => Exit::Verification,
            NodeError::Exists(_) | NodeError::InUse(_) => Exit::InTheWay,
            NodeError::Local { .. } => Exit::LocalDisk,
            NodeError::Cancelled => Exit::Interrupted,
            NodeError::Failed(_) => Exit::Failure,
        };
        let message = match error {
            NodeError::Exists(path) => {
                format!("{} exists already: use --force to replace it, or another --output", path.display())
            }
            error => error.to_string(),
        };
        Self { exit, message }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { exit: Exit::from_code(problem.exit_code), message: problem.message }
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        NodeError::from(error).into()
    }
}

impl From<TrackerError> for Failure {
    fn from(error: TrackerError) -> Self {
        NodeError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_once() {
        assert_eq!(EXIT_CODES.len(), Exit::ALL.len());
        for exit in Exit::ALL {
            assert_eq!(EXIT_CODES.iter().filter(|(code, _, _)| *code == exit.code()).count(), 1);
            assert_eq!(Exit::from_code(exit.code()), exit);
            assert!(!exit.word().is_empty());
        }
    }
}
