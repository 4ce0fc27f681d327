//! The access log: which answers are worth a line, and no more lines than an operator can use, whatever clients do.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::router::Answered;
use crate::http::{Refused, Request};
use crate::log::{self, Level, PerSecond, Value};

/// Lines a second about 4xx answers: enough to see who does what, at 200 bytes each 20 kB/s at most.
const CLIENT_ERRORS_PER_SECOND: u32 = 100;
/// Lines a second about 5xx answers, apart, so that a flood of bad requests cannot hide them.
const SERVER_ERRORS_PER_SECOND: u32 = 100;

/// Which answers are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// None.
    Off,
    /// Those from 400 on, a bounded number a second. At level debug the others too.
    Errors,
    /// Every one.
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
    /// A log of this mode.
    pub fn new(mode: AccessMode) -> Self {
        Self {
            mode,
            started: Instant::now(),
            client_errors: PerSecond::new(CLIENT_ERRORS_PER_SECOND),
            server_errors: PerSecond::new(SERVER_ERRORS_PER_SECOND),
            skipped: AtomicU64::new(0),
        }
    }

    /// How many lines were left out because there were too many in their second.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// An answer of the router. Ids and names in paths are not secret; the query is left out.
    pub(super) fn answered(&self, request: &Request, answered: &Answered, at: Instant, took: Duration) {
        let status = answered.reply.status;
        let Some(level) = self.level(status, at) else { return };
        let remote = Remote(request.remote);
        let mut fields = vec![
            ("method", Value::Text(&request.head.method)),
            ("path", Value::Text(&request.head.path)),
            ("status", Value::Count(u64::from(status))),
            ("took_ms", Value::Millis(took.as_secs_f64() * 1e3)),
            ("bytes", Value::Count(answered.reply.body.len() as u64)),
            ("remote", Value::Text(&remote)),
        ];
        fields.extend(answered.code.as_ref().map(|code| ("code", Value::Text(code))));
        log::within(request.id, || log::event(level, "access", "answered", &fields));
    }

    /// A request that did not reach the router.
    pub(super) fn refused(&self, refused: &Refused) {
        let Some(level) = self.level(refused.status, Instant::now()) else { return };
        let remote = Remote(refused.remote);
        let status = Value::Count(u64::from(refused.status));
        let fields = [("status", status), ("code", Value::Text(&refused.code)), ("remote", Value::Text(&remote))];
        log::within(refused.id, || log::event(level, "access", "refused", &fields));
    }

    /// At which level this answer is logged; `None` for not at all. Cheap where it is not.
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
        // Half of them are as good as all after 136 years.
        let second = u32::try_from(second & u64::from(u32::MAX)).expect("is masked");
        match bound.admit(second) {
            Some(0) => true,
            Some(left_out) => {
                let fields = [("answers", Value::Count(left_out))];
                log::event(level, "access", "answers were left out, too many a second", &fields);
                true
            }
            None => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }
}

/// An address, or that there is none.
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

    /// How many of `count` answers with this status get a line in one second.
    fn lines(mode: AccessMode, status: u16, count: usize) -> usize {
        let access = AccessLog::new(mode);
        (0..count).filter(|_| access.level(status, access.started).is_some()).count()
    }

    #[test]
    fn errors_get_a_bounded_number_of_lines_and_other_answers_none() {
        assert_eq!(lines(AccessMode::Errors, 200, 10), 0);
        assert_eq!(lines(AccessMode::Errors, 404, 50), 50);
        assert_eq!(lines(AccessMode::Errors, 404, 1_000), CLIENT_ERRORS_PER_SECOND as usize);
        assert_eq!(lines(AccessMode::Errors, 503, 1_000), SERVER_ERRORS_PER_SECOND as usize);
        assert_eq!(lines(AccessMode::All, 200, 1_000), 1_000);
        assert_eq!(lines(AccessMode::All, 404, 1_000), 1_000);
        assert_eq!(lines(AccessMode::Off, 500, 10), 0);
    }

    #[test]
    fn bad_requests_do_not_hide_our_own_failures_and_what_is_left_out_is_counted() {
        let access = AccessLog::new(AccessMode::Errors);
        let levels = (0..300).filter_map(|_| access.level(400, access.started));
        assert_eq!(levels.count(), 100);
        assert_eq!(access.level(500, access.started), Some(Level::Warn));
        assert_eq!(access.skipped(), 200);
        assert_eq!(access.level(400, access.started + Duration::from_secs(1)), Some(Level::Info));
    }
}
