//! Lines on a terminal that are updated in place, each cut to the width of the terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// A block of lines. Dropping it removes them from the screen.
pub(in crate::cli) struct Lines {
    all: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl Lines {
    /// Begins an empty block below the bars of `all`.
    pub(in crate::cli) fn below(all: MultiProgress) -> Self {
        Self { all, lines: Vec::new() }
    }

    /// Replaces all lines.
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

/// Makes a bar with this template.
pub(super) fn styled(template: &str) -> ProgressBar {
    ProgressBar::new(1).with_style(style(template))
}

/// Makes the style of this template.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
