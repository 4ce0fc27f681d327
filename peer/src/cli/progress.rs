//! Progress, as it fits: a bar on a terminal with a line for each source, a line now and then elsewhere, JSON lines for
//! programs, or nothing.

mod lines;
mod text;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};
use serde_json::{Value, json};

use super::output::{Output, size};
use crate::download::{FetchProgress, Phase, SourceProgress};
use crate::hashing::HashProgress;
pub(super) use lines::Lines;
use lines::{style, styled};
pub(super) use text::span;
use text::{fetching_event, fetching_text, source_text};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// How often a JSON line is printed.
const EVENT_EVERY: Duration = Duration::from_secs(1);
/// Sources shown below the bar: the fastest.
const SOURCES_SHOWN_MAX: usize = 8;
const SIZED: &str = "{prefix} {wide_bar} {percent} %  {binary_bytes}/{binary_total_bytes}";
/// How much it will be is not known yet.
const UNSIZED: &str = "{prefix}";

/// Shows one activity.
pub(super) struct Meter {
    output: Output,
    what: String,
    bars: Option<Bars>,
    due: Instant,
}

/// What is on the terminal.
struct Bars {
    output: Output,
    main: ProgressBar,
    /// What is said of it, and of each source.
    below: Lines,
}

impl Meter {
    /// `what` names the activity, like `hashing model.bin`.
    pub(super) fn new(output: &Output, what: String) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !output.is_quiet() && !output.is_json();
        let bars = on_terminal.then(|| Bars::new(output, &what));
        // The first line comes after a pause too: what is quick needs none.
        Self { output: output.clone(), bars, what, due: Instant::now() + EVENT_EVERY }
    }

    pub(super) fn hashing(&mut self, progress: HashProgress) {
        let (done, total) = (progress.done, Some(progress.total));
        let event = |what: &str| json!({"event": "progress", "what": what, "phase": "hashing", "bytes_done": done, "bytes_total": total, "note": ""});
        self.show((done, total), "", &[], event);
    }

    pub(super) fn fetching(&mut self, progress: &FetchProgress) {
        let sources: &[SourceProgress] = if progress.phase == Phase::Fetching { &progress.sources } else { &[] };
        let text = fetching_text(progress);
        let event = |what: &str| fetching_event(what, progress, &text);
        self.show((progress.bytes_done, progress.bytes_total), &text, sources, event);
    }

    fn show(
        &mut self,
        (done, total): (u64, Option<u64>),
        note: &str,
        sources: &[SourceProgress],
        event: impl FnOnce(&str) -> Value,
    ) {
        if let Some(bars) = &mut self.bars {
            return bars.show((done, total), note, sources);
        }
        let now = Instant::now();
        if now < self.due {
            return;
        }
        self.due = now + if self.output.is_json() { EVENT_EVERY } else { LINE_EVERY };
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

    fn show(&mut self, (done, total): (u64, Option<u64>), note: &str, sources: &[SourceProgress]) {
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

/// The fastest ones, in a fixed order so that they do not jump about.
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
            transport: crate::transfers::Transport::Tls,
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
