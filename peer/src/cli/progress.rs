//! Progress of one activity: bars on a terminal, a line every few seconds elsewhere, JSON lines for programs, or
//! nothing.

mod lines;
mod text;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};
use serde_json::{Value, json};

use super::output::{Output, size};
use crate::download::{FetchProgress, Phase, SourceProgress};
use crate::files::hashing::HashProgress;
pub(super) use lines::Lines;
use lines::{style, styled};
pub(super) use text::span;
use text::{fetching_event, fetching_text, source_text};

/// The interval between lines if standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// The interval between JSON lines.
const EVENT_EVERY: Duration = Duration::from_secs(1);
/// The number of sources shown below the bar: the fastest ones.
const SOURCES_SHOWN_MAX: usize = 8;
/// The bar of an activity whose size is known.
const SIZED: &str = "{prefix} {wide_bar} {percent} %  {binary_bytes}/{binary_total_bytes}";
/// The bar of an activity whose size is not known yet.
const UNSIZED: &str = "{prefix}";

/// Shows the progress of one activity until it is dropped.
pub(super) struct Meter {
    output: Output,
    what: String,
    bars: Option<Bars>,
    due: Instant,
}

/// The bytes of an activity: how many are done, and how many there are in all if that is known.
#[derive(Clone, Copy)]
struct Bytes {
    done: u64,
    total: Option<u64>,
}

/// The bars of an activity on a terminal.
struct Bars {
    output: Output,
    main: ProgressBar,
    /// A line about the activity, then one for each source.
    below: Lines,
}

impl Meter {
    /// Begins to show an activity. `what` names it, for example `hashing model.bin`.
    pub(super) fn new(output: &Output, what: String) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !output.is_quiet() && !output.is_json();
        let bars = on_terminal.then(|| Bars::new(output, &what));
        // The first line comes after a pause as well, so that quick activities print none.
        Self { output: output.clone(), bars, what, due: Instant::now() + EVENT_EVERY }
    }

    /// Shows how far hashing is.
    pub(super) fn hashing(&mut self, progress: HashProgress) {
        let bytes = Bytes { done: progress.done, total: Some(progress.total) };
        let event = |what: &str| {
            json!({
                "event": "progress",
                "what": what,
                "phase": "hashing",
                "bytes_done": bytes.done,
                "bytes_total": bytes.total,
                "note": "",
            })
        };
        self.show(bytes, "", &[], event);
    }

    /// Shows how far a download is.
    pub(super) fn fetching(&mut self, progress: &FetchProgress) {
        let sources: &[SourceProgress] = if progress.phase == Phase::Fetching { &progress.sources } else { &[] };
        let text = fetching_text(progress);
        let event = |what: &str| fetching_event(what, progress, &text);
        let bytes = Bytes { done: progress.bytes_done, total: progress.bytes_total };
        self.show(bytes, &text, sources, event);
    }

    fn show(&mut self, bytes: Bytes, note: &str, sources: &[SourceProgress], event: impl FnOnce(&str) -> Value) {
        if let Some(bars) = &mut self.bars {
            return bars.show(bytes, note, sources);
        }
        let now = Instant::now();
        if now < self.due {
            return;
        }
        self.due = now + if self.output.is_json() { EVENT_EVERY } else { LINE_EVERY };
        let Bytes { done, total } = bytes;
        let of = total.map_or_else(
            || size(done),
            |total| format!("{} of {} ({} %)", size(done), size(total), done * 100 / total.max(1)),
        );
        self.output.note(&format!("{}: {of}{}{note}", self.what, if note.is_empty() { "" } else { ", " }));
        self.output.event(&event(&self.what));
    }
}

impl Bars {
    fn new(output: &Output, what: &str) -> Self {
        let all = MultiProgress::new();
        let main = all.add(styled(UNSIZED));
        main.unset_length();
        main.set_prefix(what.to_owned());
        output.draw(Some(all.clone()));
        Self { output: output.clone(), main, below: Lines::below(all) }
    }

    fn show(&mut self, bytes: Bytes, note: &str, sources: &[SourceProgress]) {
        let Bytes { done, total } = bytes;
        if self.main.length().is_some() != total.is_some() {
            self.main.set_style(style(if total.is_some() { SIZED } else { UNSIZED }));
        }
        match total {
            Some(total) => self.main.set_length(total.max(1)),
            None => self.main.unset_length(),
        }
        self.main.set_position(if total == Some(0) { 1 } else { done });
        let note = Some(note).filter(|note| !note.is_empty()).map(|note| format!("  {note}"));
        self.below.set(note.into_iter().chain(source_lines(sources)).collect());
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.output.draw(None);
        self.main.finish_and_clear();
    }
}

/// Makes a line for each of the fastest sources. Their order is that of `sources`, so that lines do not jump about.
fn source_lines(sources: &[SourceProgress]) -> Vec<String> {
    let mut shown: Vec<(usize, &SourceProgress)> = sources.iter().enumerate().collect();
    shown.sort_by(|(_, a), (_, b)| {
        (b.in_flight > 0, b.rate).partial_cmp(&(a.in_flight > 0, a.rate)).unwrap_or(std::cmp::Ordering::Equal)
    });
    shown.truncate(SOURCES_SHOWN_MAX);
    shown.sort_by_key(|(place, _)| *place);
    shown.into_iter().map(|(_, source)| source_text(source)).collect()
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;

    #[test]
    fn the_fastest_sources_are_shown_in_the_order_they_are_known() {
        let source = |n: u32| SourceProgress {
            peer: PeerId::from_random([n as u8; 16]),
            address: format!("host{n}:1"),
            transport: peernet_engine::candidate::Transport::Tls,
            v1: false,
            rate: f64::from(n % 7),
            in_flight: u32::from(n != 6),
            chunks: n,
            bytes: 0,
        };
        let all: Vec<_> = (0..20).map(source).collect();
        let lines = source_lines(&all);
        assert_eq!(lines.len(), SOURCES_SHOWN_MAX);
        let hosts: Vec<&str> = lines.iter().map(|line| line.trim_start().split(':').next().unwrap()).collect();
        assert_eq!(hosts, ["host3", "host4", "host5", "host11", "host12", "host13", "host18", "host19"]);
        assert!(source_lines(&[]).is_empty());
    }
}
