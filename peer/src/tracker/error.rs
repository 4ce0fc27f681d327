//! Why the tracker did not give what was asked.

use std::fmt;

/// By what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackerError {
    /// Not an `http://` or `https://` URL.
    BadUrl(String),
    /// No connection, or no answer in time, also after retries.
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        why: String,
    },
    /// It answers that it cannot do this now, also after retries.
    Busy {
        /// Where.
        url: String,
        /// What it says.
        why: String,
    },
    /// There is no account for this tracker here, or its token is no longer good.
    NotLoggedIn,
    /// It refuses.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Its stable word; may be empty.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// It answers what no tracker should: perhaps something else listens there.
    Malformed(String),
    /// The file with this node's credentials cannot be read or written.
    LocalState(String),
    /// The node stops.
    Cancelled,
}

impl fmt::Display for TrackerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(url) => write!(f, "{url:?} is no tracker URL: one like http://tracker.example:8080 is wanted"),
            Self::Unreachable { url, why } => {
                write!(f, "the tracker at {url} cannot be reached ({why}): is it running, and is the URL right?")
            }
            Self::Busy { url, why } => write!(f, "the tracker at {url} is busy ({why}): try again in a moment"),
            Self::NotLoggedIn => f.write_str(
                "not logged in at this tracker: run `peernet login`, or `peernet register` for a new account",
            ),
            Self::Answered { status, message, .. } => write!(f, "the tracker refuses: {message} (HTTP {status})"),
            Self::Malformed(what) => {
                write!(f, "the tracker's answer makes no sense ({what}): is the URL a PeerNet tracker's?")
            }
            Self::LocalState(what) => f.write_str(what),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for TrackerError {}
