//! Why the tracker did not give what was asked.

use std::fmt;

/// Why the tracker takes a device's refresh token no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceEnd {
    /// The device was logged out, or not used for long.
    LoggedOut,
    /// It was shown twice, so that there are two who have it.
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
    /// The login has ended at the tracker.
    DeviceEnded(DeviceEnd),
    /// It is of a version that knows no devices.
    NoDevices {
        /// Where.
        url: String,
    },
    /// It refuses.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Its stable word; may be empty.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// `http://` to another machine, which nobody asked for by name.
    PlaintextRefused {
        /// Where.
        url: String,
    },
    /// Nobody has said yet which authority the swarm has: that is done when logging in.
    NotTrusted {
        /// Where.
        url: String,
    },
    /// Whoever answers there cannot prove to be the tracker.
    Impostor {
        /// Where.
        url: String,
        /// What is wrong with its certificate.
        why: String,
        /// What counted: the fingerprints of the swarm's authorities; empty where that is the public web.
        pinned: String,
    },
    /// It shows another authority than the one that was named.
    OtherAuthority {
        /// Where.
        url: String,
        /// The fingerprint that was named.
        given: String,
        /// The one that it shows.
        found: String,
    },
    /// It has no authority to show.
    NoAuthority {
        /// Where.
        url: String,
    },
    /// It issues no certificates, so peers cannot prove to each other who they are.
    NoCertificate {
        /// Where.
        url: String,
    },
    /// It answers what no tracker should: perhaps something else listens there.
    Malformed(String),
    /// The file with this node's credentials cannot be read or written.
    LocalState(String),
    /// The node stops.
    Cancelled,
}

impl TrackerError {
    /// Whether it knows no such call, as one of an earlier version: one that does and lacks the thing answers with the code `thing`.
    pub(super) fn lacks_call(&self, thing: &str) -> bool {
        matches!(self, Self::Answered { status: 404 | 405, code, .. } if code != thing)
    }
}

impl fmt::Display for TrackerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(url) => {
                write!(f, "{url:?} is no tracker URL: one like https://tracker.example:8080 is wanted")
            }
            Self::Unreachable { url, why } => {
                write!(f, "the tracker at {url} cannot be reached ({why}): is it running, and is the URL right?")
            }
            Self::Busy { url, why } => write!(f, "the tracker at {url} is busy ({why}): try again in a moment"),
            Self::NotLoggedIn => f.write_str(
                "not logged in at this tracker: run `peernet login`, or `peernet register` for a new account",
            ),
            Self::DeviceEnded(why) => why.fmt(f),
            Self::NoDevices { url } => {
                write!(f, "the tracker at {url} is of a version that knows no devices: have it upgraded")
            }
            Self::Answered { status: 403, code, message } if code == "insufficient_scope" => write!(
                f,
                "this device may not do that: {message}. `peernet login` without --scope, or with more, changes that"
            ),
            Self::Answered { status, message, .. } => write!(f, "the tracker refuses: {message} (HTTP {status})"),
            Self::PlaintextRefused { url } => write!(
                f,
                "{url} would be spoken to in plaintext, and everybody in between could read the password and change the answers: \
                 use https://, or give --allow-plaintext if that is what you want"
            ),
            Self::NotTrusted { url } => write!(
                f,
                "it is not known yet by which authority the tracker at {url} proves what it is: run `peernet login` \
                 (or give --tracker-tls public if a proxy with a certificate of the public web stands before it)"
            ),
            Self::Impostor { url, why, pinned } if pinned.is_empty() => write!(
                f,
                "the certificate of {url} does not hold for the public web ({why}): a tracker without a proxy is known by \
                 its swarm's authority, without --tracker-tls public"
            ),
            Self::Impostor { url, why, pinned } => write!(
                f,
                "whoever answers at {url} is not the tracker that was trusted ({why}; trusted is sha256:{pinned}): somebody may be \
                 in between, and nothing was sent. If the operator has replaced the authority, ask for its fingerprint and run \
                 `peernet login --ca-fingerprint FINGERPRINT`"
            ),
            Self::OtherAuthority { url, given, found } => write!(
                f,
                "the tracker at {url} shows the authority sha256:{found} and not sha256:{given}, which was given: nothing else was \
                 sent to it. Is the fingerprint the operator's of today, and the URL right?"
            ),
            Self::NoAuthority { url } => write!(
                f,
                "the tracker at {url} has no authority of its own to be known by: it is of an older version, or a proxy stands \
                 before it (then --tracker-tls public)"
            ),
            Self::NoCertificate { url } => write!(
                f,
                "the tracker at {url} issues no certificates, so transfers cannot be encrypted: have it upgraded, or give \
                 --allow-plaintext if plaintext is what you want"
            ),
            Self::Malformed(what) => {
                write!(f, "the tracker's answer makes no sense ({what}): is the URL a PeerNet tracker's?")
            }
            Self::LocalState(what) => f.write_str(what),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for TrackerError {}
