//! The ways a call to the tracker fails.

use std::fmt;

/// The reason why the tracker refuses a device's refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceEnd {
    /// The device was logged out, or was not used for long.
    LoggedOut,
    /// The token was used twice, so a second machine has a copy of it.
    Reused,
}

impl fmt::Display for DeviceEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoggedOut => {
                "this device is logged out at the tracker (by `peernet devices revoke`, a change of the password or the operator, or \
                 because it was not used for long): run `peernet login`"
            }
            Self::Reused => {
                "this device is logged out: the tracker has seen one of its refresh tokens twice, as when the state folder was copied, \
                 put back from a backup, or stolen. Run `peernet login`; if the copy is not yours, run `peernet password` then"
            }
        })
    }
}

/// A failed call, by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackerError {
    /// The text is not an `http://` or `https://` URL.
    BadUrl(String),
    /// There was no connection, or no reply in time, also after retries.
    Unreachable {
        /// The URL.
        url: String,
        /// The failure.
        why: String,
    },
    /// The tracker replies that it cannot do this now, also after retries.
    Busy {
        /// The URL.
        url: String,
        /// The tracker's message.
        why: String,
    },
    /// There is no account for this tracker here, or its token is no longer good.
    NotLoggedIn,
    /// The login has ended at the tracker.
    DeviceEnded(DeviceEnd),
    /// The tracker is of a version without devices.
    NoDevices {
        /// The URL.
        url: String,
    },
    /// The tracker refuses.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The stable error code; may be empty.
        code: String,
        /// The message.
        message: String,
    },
    /// The URL is `http://` on another machine, and plaintext was not allowed.
    PlaintextRefused {
        /// The URL.
        url: String,
    },
    /// The authority of the swarm is not known yet: it is pinned at the login.
    NotTrusted {
        /// The URL.
        url: String,
    },
    /// The server cannot prove to be the tracker.
    Impostor {
        /// The URL.
        url: String,
        /// The fault of its certificate.
        why: String,
        /// The fingerprints of the swarm's authorities; empty where public roots are trusted.
        pinned: String,
    },
    /// The tracker shows another authority than the one that was named.
    OtherAuthority {
        /// The URL.
        url: String,
        /// The fingerprint that was named.
        given: String,
        /// The fingerprint that the tracker shows.
        found: String,
    },
    /// The tracker shows no authority.
    NoAuthority {
        /// The URL.
        url: String,
    },
    /// The tracker issues no certificates, so peers cannot prove their identity to each other.
    NoCertificate {
        /// The URL.
        url: String,
    },
    /// The reply is not one of a tracker: perhaps another program listens there.
    Malformed(String),
    /// The file with this node's credentials cannot be read or written.
    LocalState(String),
    /// The node is stopping.
    Cancelled,
}

impl TrackerError {
    /// Returns true if the tracker does not know the call, because its version is earlier. A tracker that knows the
    /// call and lacks the thing replies with the code `thing`.
    pub(super) fn lacks_call(&self, thing: &str) -> bool {
        matches!(self, Self::Answered { status: 404 | 405, code, .. } if code != thing)
    }
}

impl fmt::Display for TrackerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(url) => {
                write!(f, "{url:?} is not a tracker URL; expected one like https://tracker.example:8080")
            }
            Self::Unreachable { url, why } => {
                write!(f, "the tracker at {url} cannot be reached ({why}); is it running, and is the URL right?")
            }
            Self::Busy { url, why } => write!(f, "the tracker at {url} is busy ({why}); try again in a moment"),
            Self::NotLoggedIn => f.write_str(
                "not logged in at this tracker; run `peernet login`, or `peernet register` for a new account",
            ),
            Self::DeviceEnded(why) => why.fmt(f),
            Self::NoDevices { url } => {
                write!(f, "the tracker at {url} is of a version without devices; have it upgraded")
            }
            Self::Answered { status: 403, code, message } if code == "insufficient_scope" => write!(
                f,
                "this device may not do that: {message}; run `peernet login` with more scopes, or without --scope"
            ),
            Self::Answered { status, message, .. } => write!(f, "the tracker refuses: {message} (HTTP {status})"),
            Self::PlaintextRefused { url } => write!(
                f,
                "{url} is plaintext, so anyone on the path could read the password and change the replies; use https://, or allow \
                 it with --allow-plaintext"
            ),
            Self::NotTrusted { url } => write!(
                f,
                "the authority of the tracker at {url} is not known yet; run `peernet login` (or give --tracker-tls public if a proxy \
                 with a certificate of the public web stands before it)"
            ),
            Self::Impostor { url, why, pinned } if pinned.is_empty() => write!(
                f,
                "the certificate of {url} is not valid on the public web ({why}); a tracker without a proxy proves itself by its \
                 swarm's authority, without --tracker-tls public"
            ),
            Self::Impostor { url, why, pinned } => write!(
                f,
                "the server at {url} is not the tracker that was trusted ({why}; trusted is sha256:{pinned}); it may be an attacker \
                 on the path, and nothing was sent. If the operator has replaced the authority, ask for its fingerprint and run \
                 `peernet login --ca-fingerprint FINGERPRINT`"
            ),
            Self::OtherAuthority { url, given, found } => write!(
                f,
                "the tracker at {url} shows the authority sha256:{found}; expected sha256:{given}, and nothing was sent. Is the \
                 fingerprint the operator's present one, and the URL right?"
            ),
            Self::NoAuthority { url } => write!(
                f,
                "the tracker at {url} shows no authority of its own; it is of an older version, or a proxy stands before it (then \
                 give --tracker-tls public)"
            ),
            Self::NoCertificate { url } => write!(
                f,
                "the tracker at {url} issues no certificates, so transfers cannot be encrypted; have it upgraded, or allow \
                 plaintext with --allow-plaintext"
            ),
            Self::Malformed(what) => {
                write!(f, "the tracker's reply is not valid ({what}); is this the URL of a PeerNet tracker?")
            }
            Self::LocalState(what) => f.write_str(what),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for TrackerError {}
