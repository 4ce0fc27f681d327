//! Lines on a terminal that are written over in place, each cut to its width.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The lines. Dropping them takes them from the screen.
pub(in crate::cli) struct Lines {
    all: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl Lines {
    /// None yet; below what `all` has.
    pub(in crate::cli) fn below(all: MultiProgress) -> Self {
        Self { all, lines: Vec::new() }
    }

    /// Exactly these from now on.
    pub(in crate::cli) fn set(&mut self, texts: Vec<String>) {
        while self.lines.len() > texts.len() {
            if let Some(line) = self.lines.pop() {
                line.finish_and_clear();
                self.all.remove(&line);
            }
        }
        while self.lines.len() < texts.len() {
            self.lines.push(self.all.add(styled("{wide_msg}")));
        }
        for (line, text) in self.lines.iter().zip(texts) {
            line.set_message(text);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.lines.iter().for_each(ProgressBar::finish_and_clear);
    }
}

pub(super) fn styled(template: &str) -> ProgressBar {
    ProgressBar::new(1).with_style(style(template))
}

pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
