//! The reasons of failures with a remote peer, as data.

use std::fmt;

/// The reason of a failure. Only some may cost a remote peer anything: see [`Cause::is_the_remotes_fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The remote peer answered that it will not.
    Refused,
    /// The remote peer may not serve this node: access control forbids it, or has changed meanwhile. Neither side is to
    /// blame.
    NotAllowed,
    /// No answer came in time.
    TimedOut,
    /// The bytes do not have the expected hash.
    BadHash,
    /// The connection failed.
    Transport,
    /// The local disk failed or is full. Never the remote peer's fault.
    LocalDisk,
}

impl Cause {
    /// Returns true if a remote peer may be reported for this cause. Local failures, and refusals that access control
    /// demands, cost the remote peer nothing.
    pub fn is_the_remotes_fault(self) -> bool {
        !matches!(self, Self::LocalDisk | Self::NotAllowed)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::NotAllowed => "not allowed",
            Self::TimedOut => "timed out",
            Self::BadHash => "hash mismatch",
            Self::Transport => "connection failed",
            Self::LocalDisk => "local disk failed",
        })
    }
}
