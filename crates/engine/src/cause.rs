//! Why something with a remote peer did not work, as data.

use std::fmt;

/// The reason of a failure. Only some may cost a remote peer anything: see [`Cause::is_the_remotes_fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The remote side answered that it will not.
    Refused,
    /// The remote side may not serve us this: the swarm's rules are against it, or have changed meanwhile. Nobody's fault.
    NotAllowed,
    /// No answer in time.
    TimedOut,
    /// The bytes do not have the hash they should have.
    BadHash,
    /// The connection failed.
    Transport,
    /// Our own disk failed or is full. Never the remote's fault.
    LocalDisk,
}

impl Cause {
    /// Whether a remote peer may be reported for it. A local fault never costs a remote peer anything, nor does it that it keeps to the rules.
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
