//! The effect of time: stalls, the end of a back-off, lookups, and giving up.

use std::time::{Duration, Instant};

use crate::cause::Cause;
use crate::download::source::{Connection, Source};
use crate::download::{Download, Limits, Output, SourceId, Why};

/// The pause before the lookup that follows the loss of the last usable source. A short failure of this node's own
/// network may be the reason for the loss.
const LAST_LOST_PAUSE: Duration = Duration::from_secs(1);
/// A call so long after the deadline means that this process was stopped or suspended, not that the sources were slow.
const OVERSLEPT: Duration = Duration::from_secs(5);

/// The time of the next lookup of sources.
#[derive(Debug)]
pub(super) struct Lookup {
    due: Instant,
    /// The last lookup.
    asked_at: Option<Instant>,
    /// Whether another peer has called since then, so that it is to be repeated.
    is_called: bool,
    pause: Duration,
    /// The shortest time between two lookups because of callers.
    pause_called: Duration,
    /// Whether more sources are wanted at all.
    wanted: bool,
    /// Whether no lookup was made and no source came yet.
    is_first: bool,
    /// Whether there was no usable source at the last check.
    has_none: bool,
    /// Whether other downloaders of the file are known to exist.
    in_crowd: bool,
}

impl Lookup {
    /// The first lookup is due at once, unless a source comes before.
    pub(super) fn new(now: Instant, limits: &Limits) -> Self {
        Self {
            due: now,
            asked_at: None,
            is_called: false,
            pause: limits.lookup_pause_start,
            pause_called: limits.lookup_crowd_after,
            wanted: true,
            is_first: true,
            has_none: true,
            in_crowd: false,
        }
    }

    /// A source came. Lookups are worth it, so the pauses start again; the first lookup is not needed.
    pub(super) fn brought_something(&mut self, now: Instant, limits: &Limits) {
        self.pause = if self.in_crowd { limits.lookup_pause_crowd } else { limits.lookup_pause_start };
        self.pause_called = limits.lookup_crowd_after;
        if self.is_first {
            self.put_off(now);
        }
    }

    /// Other downloaders were seen. The first time, a lookup follows soon, to find them.
    pub(super) fn crowd(&mut self, now: Instant, limits: &Limits) {
        if !std::mem::replace(&mut self.in_crowd, true) {
            self.pause = limits.lookup_pause_crowd;
            self.due = self.due.min(now + limits.lookup_crowd_after);
        }
    }

    /// Another downloader called this node. A lookup follows soon; lookups that do not find the callers become rarer.
    pub(super) fn called(&mut self, now: Instant, limits: &Limits) {
        self.crowd(now, limits);
        let soon = now + limits.lookup_crowd_after;
        let soonest = self.asked_at.map_or(soon, |at| soon.max(at + self.pause_called));
        self.is_called = true;
        self.due = self.due.min(soonest);
    }

    /// Takes the number of usable sources. A lookup follows soon after the last one is lost.
    fn usable(&mut self, now: Instant, usable: usize, limits: &Limits) {
        if usable == 0 && !self.has_none {
            self.pause = limits.lookup_pause_start;
            self.due = self.due.min(now + LAST_LOST_PAUSE);
        }
        self.has_none = usable == 0;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wanted.then_some(self.due)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.wanted && now >= self.due
    }

    fn asked(&mut self, now: Instant, limits: &Limits) {
        self.asked_at = Some(now);
        if std::mem::take(&mut self.is_called) {
            self.pause_called = self.pause_called.saturating_mul(2).min(limits.lookup_pause_start);
        }
        self.put_off(now);
        self.pause = self.pause.saturating_mul(2).min(limits.lookup_pause_max);
    }

    fn put_off(&mut self, now: Instant) {
        self.is_first = false;
        self.due = now + self.pause;
    }
}

impl Download {
    pub(super) fn check_times(&mut self, now: Instant) {
        for id in self.sources.keys().copied().collect::<Vec<_>>() {
            self.check_source(now, id);
        }
        self.check_sources_wanted(now);
        self.check_progress(now);
    }

    /// Restarts all timers when this process was not running for so long that they mean nothing.
    pub(super) fn forgive_lost_time(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline + OVERSLEPT) {
            return;
        }
        self.progress_at = now;
        self.sources.values_mut().for_each(|source| source.restart_watch(now));
    }

    /// Returns when a timer of this source fires.
    pub(super) fn source_deadline(&self, source: &Source) -> Option<Instant> {
        match source.connection {
            Connection::BackingOff(until) => Some(until),
            Connection::Open(_) => source.stall_at(&self.limits).into_iter().chain(source.hold_until).min(),
        }
    }

    fn check_source(&mut self, now: Instant, id: SourceId) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        if source.hold_until.is_some_and(|until| until <= now) {
            source.hold_until = None;
        }
        if matches!(source.connection, Connection::BackingOff(until) if until <= now) {
            source.connection = Connection::Open(now);
            self.outputs.push_back(Output::Connect { source: id });
        } else if source.is_stalled(now, &self.limits) {
            self.rest(now, id, Cause::TimedOut);
            self.outputs.push_back(Output::Disconnect { source: id, cause: Cause::TimedOut });
        }
    }

    fn check_sources_wanted(&mut self, now: Instant) {
        let usable = self.sources.values().filter(|source| source.failures == 0).count();
        self.lookup.usable(now, usable, &self.limits);
        self.lookup.wanted = usable < self.limits.sources_wanted || self.chunks_without_holder() > 0;
        if self.lookup.is_due(now) {
            self.lookup.asked(now, &self.limits);
            self.outputs.push_back(Output::NeedSources);
        }
    }

    fn chunks_without_holder(&self) -> usize {
        match self.sources.values().any(Source::is_complete) {
            true => 0,
            false => self.chunks.picker().held_by_none(),
        }
    }

    fn check_progress(&mut self, now: Instant) {
        let all_banned = self.all_banned_since.is_some_and(|since| now >= since + self.limits.all_banned_timeout);
        if all_banned && self.fetched == 0 {
            return self.end(Output::Failed { why: self.why_bad_hashes() });
        }
        if all_banned {
            self.all_banned_since = None;
        }
        if now >= self.progress_at + self.limits.no_progress {
            self.end(Output::Failed { why: self.why_stuck() });
        }
    }

    fn why_bad_hashes(&self) -> Why {
        Why::BadHashes { sources: u32::try_from(self.banned.len()).unwrap_or(u32::MAX) }
    }

    fn why_stuck(&self) -> Why {
        let waited = self.limits.no_progress;
        let reachable = |source: &Source| {
            !matches!(source.last_failure, Some(Cause::Transport | Cause::Refused | Cause::NotAllowed))
        };
        let missing = self.chunks_without_holder();
        if self.sources.is_empty() && !self.banned.is_empty() {
            self.why_bad_hashes()
        } else if !self.sources.values().any(reachable) {
            Why::NoSources { waited }
        } else if missing > 0 {
            Why::Incomplete { missing: u32::try_from(missing).unwrap_or(u32::MAX), waited }
        } else {
            Why::NoProgress { waited }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_looked_up_soon_and_then_more_rarely() {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        let limits = Limits::default();
        let mut lookup = Lookup::new(start, &limits);
        lookup.brought_something(start, &limits);
        let mut asked_at = Vec::new();
        for tick in 1..=30_000 {
            let now = start + Duration::from_millis(tick);
            lookup.called(now, &limits);
            if lookup.is_due(now) {
                lookup.asked(now, &limits);
                asked_at.push(now);
            }
        }
        assert_eq!(asked_at[0], start + Duration::from_millis(1) + limits.lookup_crowd_after);
        assert!(asked_at.len() < 20, "{} lookups in half a minute", asked_at.len());
        assert!(asked_at.windows(2).all(|pair| pair[1] - pair[0] <= limits.lookup_pause_start));
        // A source was found, so the pauses start again.
        let now = *asked_at.last().unwrap() + 2 * limits.lookup_crowd_after;
        lookup.brought_something(now, &limits);
        lookup.called(now, &limits);
        assert_eq!(lookup.deadline(), Some(now + limits.lookup_crowd_after));
    }
}
