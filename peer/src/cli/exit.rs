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

    use crate::discovery::tracker::DeviceEnd;

    #[test]
    fn each_answer_of_a_tracker_has_its_exit_code() {
        let url = || "https://t:1".to_owned();
        let why = || "why".to_owned();
        let answered = |status: u16| TrackerError::Answered { status, code: String::new(), message: why() };
        for (error, expected) in [
            (TrackerError::BadUrl(url()), Exit::Usage),
            (TrackerError::Unreachable { url: url(), why: why() }, Exit::Network),
            (TrackerError::Busy { url: url(), why: why() }, Exit::Network),
            (TrackerError::NotLoggedIn, Exit::Refused),
            (TrackerError::DeviceEnded(DeviceEnd::LoggedOut), Exit::Refused),
            (TrackerError::DeviceEnded(DeviceEnd::Reused), Exit::Refused),
            (TrackerError::NoDevices { url: url() }, Exit::Refused),
            (answered(400), Exit::Usage),
            (answered(401), Exit::Refused),
            (answered(403), Exit::Refused),
            (answered(404), Exit::NotFound),
            (answered(409), Exit::Refused),
            (answered(422), Exit::Usage),
            (answered(500), Exit::Failure),
            (TrackerError::PlaintextRefused { url: url() }, Exit::Usage),
            (TrackerError::NotTrusted { url: url() }, Exit::Refused),
            (TrackerError::Impostor { url: url(), why: why(), pinned: String::new() }, Exit::Refused),
            (TrackerError::OtherAuthority { url: url(), given: why(), found: why() }, Exit::Refused),
            (TrackerError::NoAuthority { url: url() }, Exit::Refused),
            (TrackerError::NoCertificate { url: url() }, Exit::Refused),
            (TrackerError::Malformed(why()), Exit::Failure),
            (TrackerError::LocalState(why()), Exit::LocalDisk),
            (TrackerError::Cancelled, Exit::Interrupted),
        ] {
            let text = error.to_string();
            let failure = Failure::from(error);
            assert_eq!(failure.exit, expected, "{text}");
            assert!(failure.message.ends_with(&text), "{} {text}", failure.message);
        }
    }

    #[test]
    fn each_error_of_a_folder_has_its_exit_code() {
        let path = || std::path::PathBuf::from("/p");
        for (error, expected) in [
            (HomeError::NoFolder, Exit::Usage),
            (HomeError::io("reading", &path())(std::io::ErrorKind::NotFound.into()), Exit::LocalDisk),
            (HomeError::TooLarge { path: path(), bytes: 2, bytes_max: 1 }, Exit::LocalDisk),
            (HomeError::Damaged { path: path(), what: "line 1".to_owned(), advice: "remove it" }, Exit::Usage),
            (HomeError::NoKey("why".to_owned()), Exit::Failure),
            (HomeError::Served(path()), Exit::InTheWay),
            (HomeError::Locked { path: path(), waited: std::time::Duration::from_secs(20) }, Exit::InTheWay),
        ] {
            let text = error.to_string();
            let failure = Failure::from(error);
            assert_eq!(failure.exit, expected, "{text}");
            assert!(failure.message.ends_with(&text), "{} {text}", failure.message);
        }
    }

    #[test]
    fn a_failure_keeps_its_code_whatever_is_said_about_it() {
        let exists = Failure::from(NodeError::Exists("/p/a.bin".into()));
        let message = "/p/a.bin exists already: use --force to replace it, or another --output";
        assert_eq!(exists, Failure { exit: Exit::InTheWay, message: message.to_owned() });
        assert_eq!(exists.clone().about("a.bin").to_string(), format!("a.bin: {message}"));
        assert_eq!(exists.saying("short".to_owned()), Failure { exit: Exit::InTheWay, message: "short".to_owned() });
        for (exit_code, expected) in [(0, Exit::Ok), (6, Exit::Network), (9, Exit::Failure), (255, Exit::Failure)] {
            let problem = Problem { exit_code, message: "why".to_owned() };
            assert_eq!(Failure::from(problem), Failure { exit: expected, message: "why".to_owned() }, "{exit_code}");
        }
        let local = NodeError::Local { doing: "reading /p".to_owned(), error: std::io::ErrorKind::NotFound.into() };
        assert_eq!(Failure::from(local).to_string(), "reading /p: entity not found");
    }
}
