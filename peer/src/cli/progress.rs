//! Progress, as it fits: a bar on a terminal, a line now and then elsewhere, JSON lines for programs, or nothing.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::output::{Output, shown, size};
use crate::fetch::{FetchProgress, Phase};
use crate::hashing::HashProgress;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// How often a JSON line is printed.
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// No note is shown longer.
const NOTE_CHARS_MAX: usize = 200;

/// Shows one activity.
pub(super) struct Meter {
    output: Output,
    what: String,
    bar: Option<ProgressBar>,
    due: Instant,
}

impl Meter {
    /// `what` names the activity, like `hashing model.bin`.
    pub(super) fn new(output: &Output, what: String) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !output.is_quiet() && !output.is_json();
        // The first line comes after a pause too: what is quick needs none.
        Self { output: output.clone(), bar: on_terminal.then(|| bar(&what)), what, due: Instant::now() + EVENT_EVERY }
    }

    pub(super) fn hashing(&mut self, progress: HashProgress) {
        self.show(progress.done, Some(progress.total), "");
    }

    pub(super) fn fetching(&mut self, progress: &FetchProgress) {
        let busy = progress.sources.iter().filter(|source| source.in_flight > 0).count();
        let phase = match progress.phase {
            Phase::LookingUp => "looking for sources".to_owned(),
            Phase::CheckingPart => "checking what is there".to_owned(),
            Phase::Copying => "copying what is here already".to_owned(),
            Phase::Fetching if progress.sources.is_empty() => "nobody offers it now, waiting for somebody".to_owned(),
            Phase::Fetching => {
                format!("{}/s from {busy} of {} peers", size(progress.rate as u64), progress.sources.len())
            }
            Phase::Verifying => "verifying".to_owned(),
            Phase::Finishing => "finishing".to_owned(),
        };
        let note = progress.note.as_ref().map_or(phase.clone(), |note| format!("{phase}; {}", remark(note)));
        self.show(progress.bytes_done, progress.bytes_total, &note);
    }

    fn show(&mut self, done: u64, total: Option<u64>, note: &str) {
        if let Some(bar) = &self.bar {
            match total {
                Some(total) => bar.set_length(total.max(1)),
                None => bar.unset_length(),
            }
            bar.set_position(if total == Some(0) { 1 } else { done });
            bar.set_message(note.to_owned());
            return;
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
        self.output.event(
            &json!({"event": "progress", "what": self.what, "bytes_done": done, "bytes_total": total, "note": note}),
        );
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A note may quote a stranger: the error text of another peer, the address it gave.
fn remark(note: &str) -> String {
    shown(&note.chars().take(NOTE_CHARS_MAX).collect::<String>())
}

fn bar(what: &str) -> ProgressBar {
    let template = "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1).with_style(style).with_prefix(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_peer_says_can_neither_steer_nor_flood_the_terminal() {
        assert_eq!(remark("refused: \u{1b}[2Jgone\n"), "refused: \u{fffd}[2Jgone\u{fffd}");
        assert_eq!(remark(&"x".repeat(10_000)).chars().count(), NOTE_CHARS_MAX);
    }
}
