//! The access log: one line per answer, bounded per second, so that no client can flood it.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::ops::log::{self, Level, PerSecond, Value};
use peernet_door::{Refused, Request};

/// The most lines per second about 4xx answers. At 200 bytes each that is 20 kB/s, enough to see which client does
/// what.
const CLIENT_ERRORS_PER_SECOND: u32 = 100;
/// The most lines per second about 5xx answers. They have their own bound, so that a flood of bad requests cannot hide
/// them.
const SERVER_ERRORS_PER_SECOND: u32 = 100;

/// The answers that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// No answer.
    Off,
    /// Answers with status 400 or higher, a bounded number per second; at level debug the others too.
    Errors,
    /// Every answer.
    All,
}

impl Display for AccessMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Errors => "errors",
            Self::All => "all",
        })
    }
}

impl FromStr for AccessMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "errors" => Ok(Self::Errors),
            "all" => Ok(Self::All),
            _ => Err("must be off, errors or all".to_owned()),
        }
    }
}

/// A reply as the log shows it.
#[derive(Debug, Clone, Copy)]
pub struct LoggedReply {
    /// The status.
    pub status: u16,
    /// The bytes of the body.
    pub bytes: usize,
    /// The stable word of an error.
    pub code: Option<&'static str>,
}

/// Writes the access log's lines.
#[derive(Debug)]
pub struct AccessLog {
    mode: AccessMode,
    started: Instant,
    client_errors: PerSecond,
    server_errors: PerSecond,
    skipped: AtomicU64,
}

impl AccessLog {
    /// Makes a log of this mode.
    pub fn new(mode: AccessMode) -> Self {
        Self {
            mode,
            started: Instant::now(),
            client_errors: PerSecond::new(CLIENT_ERRORS_PER_SECOND),
            server_errors: PerSecond::new(SERVER_ERRORS_PER_SECOND),
            skipped: AtomicU64::new(0),
        }
    }

    /// The number of lines that were skipped because of the bounds.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Logs a reply of the router. Ids and names in paths are not secret; the query is left out.
    pub(crate) fn answered(&self, request: &Request, reply: LoggedReply, at: Instant, took: Duration) {
        let status = reply.status;
        let Some(level) = self.level(status, at) else { return };
        let remote = Remote(request.remote);
        let mut fields = vec![
            ("method", Value::Text(&request.head.method)),
            ("path", Value::Text(&request.head.path)),
            ("status", Value::Count(u64::from(status))),
            ("took_ms", Value::Millis(took.as_secs_f64() * 1e3)),
            ("bytes", Value::Count(reply.bytes as u64)),
            ("remote", Value::Text(&remote)),
        ];
        fields.extend(reply.code.as_ref().map(|code| ("code", Value::Text(code))));
        log::within(request.id, || log::event(level, "access", "answered", &fields));
    }

    /// Logs a request that was refused before it reached the router.
    pub(crate) fn refused(&self, refused: &Refused) {
        let Some(level) = self.level(refused.status, Instant::now()) else { return };
        let remote = Remote(refused.remote);
        let status = Value::Count(u64::from(refused.status));
        let fields = [("status", status), ("code", Value::Text(&refused.code)), ("remote", Value::Text(&remote))];
        log::within(refused.id, || log::event(level, "access", "refused", &fields));
    }

    /// The level at which an answer is logged; `None` for not at all. Cheap where it is not logged.
    fn level(&self, status: u16, at: Instant) -> Option<Level> {
        let (level, bound) = match (self.mode, status) {
            (AccessMode::Off, _) => return None,
            (_, 500..) => (Level::Warn, Some(&self.server_errors)),
            (_, 400..) => (Level::Info, Some(&self.client_errors)),
            (AccessMode::All, _) => (Level::Info, None),
            (AccessMode::Errors, _) => (Level::Debug, None),
        };
        if !log::enabled(level) {
            return None;
        }
        let bound = bound.filter(|_| self.mode == AccessMode::Errors);
        bound.is_none_or(|bound| self.admit(bound, level, at)).then_some(level)
    }

    fn admit(&self, bound: &PerSecond, level: Level, at: Instant) -> bool {
        let second = at.saturating_duration_since(self.started).as_secs();
        // The lower 32 bits are enough: they repeat after 136 years.
        let second = u32::try_from(second & u64::from(u32::MAX)).expect("is masked");
        match bound.admit(second) {
            Some(0) => true,
            Some(left_out) => {
                let fields = [("answers", Value::Count(left_out))];
                log::event(level, "access", "skipped answers past the bound per second", &fields);
                true
            }
            None => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }
}

/// An address, or `local` for a Unix socket.
struct Remote(Option<IpAddr>);

impl Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("local"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many of `count` answers with this status get a line in one second.
    fn lines(mode: AccessMode, status: u16, count: usize) -> usize {
        let access = AccessLog::new(mode);
        (0..count).filter(|_| access.level(status, access.started).is_some()).count()
    }

    #[test]
    fn errors_get_a_bounded_number_of_lines() {
        assert_eq!(lines(AccessMode::Errors, 200, 10), 0);
        assert_eq!(lines(AccessMode::Errors, 404, 50), 50);
        assert_eq!(lines(AccessMode::Errors, 404, 1_000), CLIENT_ERRORS_PER_SECOND as usize);
        assert_eq!(lines(AccessMode::Errors, 503, 1_000), SERVER_ERRORS_PER_SECOND as usize);
        assert_eq!(lines(AccessMode::All, 200, 1_000), 1_000);
        assert_eq!(lines(AccessMode::All, 404, 1_000), 1_000);
        assert_eq!(lines(AccessMode::Off, 500, 10), 0);
    }

    #[test]
    fn bad_requests_do_not_hide_server_errors() {
        let access = AccessLog::new(AccessMode::Errors);
        let levels = (0..300).filter_map(|_| access.level(400, access.started));
        assert_eq!(levels.count(), 100);
        assert_eq!(access.level(500, access.started), Some(Level::Warn));
        assert_eq!(access.skipped(), 200);
        assert_eq!(access.level(400, access.started + Duration::from_secs(1)), Some(Level::Info));
    }

    #[test]
    fn every_mode_reads_back_and_others_are_refused() {
        for (word, mode) in [("off", AccessMode::Off), ("errors", AccessMode::Errors), ("all", AccessMode::All)] {
            assert_eq!((word.parse(), mode.to_string().as_str()), (Ok(mode), word));
        }
        assert_eq!("on".parse::<AccessMode>(), Err("must be off, errors or all".to_owned()));
    }

    #[test]
    fn a_client_without_an_address_is_local() {
        for (remote, text) in [(None, "local"), (Some("10.0.0.7"), "10.0.0.7"), (Some("::1"), "::1")] {
            let address = remote.map(|text| text.parse().expect("an address"));
            assert_eq!(Remote(address).to_string(), text);
        }
    }

    #[test]
    fn each_status_class_has_its_level() {
        let level = |mode, status| {
            let access = AccessLog::new(mode);
            access.level(status, access.started)
        };
        for (status, errors, all) in [
            (200, None, Some(Level::Info)),
            (399, None, Some(Level::Info)),
            (400, Some(Level::Info), Some(Level::Info)),
            (499, Some(Level::Info), Some(Level::Info)),
            (500, Some(Level::Warn), Some(Level::Warn)),
            (599, Some(Level::Warn), Some(Level::Warn)),
        ] {
            assert_eq!(level(AccessMode::Errors, status), errors, "{status}");
            assert_eq!(level(AccessMode::All, status), all, "{status}");
            assert_eq!(level(AccessMode::Off, status), None, "{status}");
        }
    }
}
