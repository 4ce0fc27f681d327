//! The names that the code gives its threads, for the comparison with the table in `docs/ARCHITECTURE.md`.

use std::collections::BTreeSet;

use crate::tidy::rust::{split_top, test_lines};

/// The calls whose first argument names a thread.
const CALLS: &[&str] =
    &["spawn(", ".name(", "named(", "spawn_scoped(", "askers.ask(", "askers().ask(", "Pool::start(", "Pool::new("];

/// Returns the thread names of a source file. A number in a name is shown as `N`: `ops-N` for `format!("ops-{number}")`.
/// Names come from literals, from `format!`, and from string constants of the same file; other arguments name nothing.
#[must_use]
pub fn thread_names(text: &str) -> BTreeSet<String> {
    let marks = test_lines(text);
    let lines = text.lines().zip(marks).filter(|(line, test)| !test && !line.trim_start().starts_with("//"));
    let code: String = lines.map(|(line, _)| format!("{line}\n")).collect();
    let mut found = BTreeSet::new();
    for call in CALLS {
        for (at, _) in code.match_indices(call) {
            let argument =
                split_top(first_line_or_two(&code[at + call.len()..]), ',').into_iter().next().unwrap_or_default();
            // A pool numbers its workers.
            let number = if call.starts_with("Pool") { "-N" } else { "" };
            found.extend(name(&argument, &code).map(|name| format!("{name}{number}")));
        }
    }
    found
}

/// The text of an argument list as far as a name can reach: rustfmt breaks the line before a long closure.
fn first_line_or_two(text: &str) -> &str {
    let end = text.match_indices('\n').nth(1).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn name(argument: &str, code: &str) -> Option<String> {
    let argument = argument.trim().trim_start_matches("format!(");
    let literal = if argument.starts_with('"') {
        argument.split('"').nth(1)?.to_owned()
    } else {
        let constant: String = argument.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
        let rest = code.split(&format!("const {constant}: &str = \"")).nth(1).filter(|_| constant.len() > 1)?;
        rest.split('"').next()?.to_owned()
    };
    let shown = numbered(&literal);
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == 'N';
    (!shown.is_empty() && shown.chars().all(is_name)).then_some(shown)
}

/// Replaces each `{…}` by `N`.
fn numbered(literal: &str) -> String {
    let mut out = String::new();
    let mut open = false;
    for char in literal.chars() {
        match char {
            '{' => {
                open = true;
                out.push('N');
            }
            '}' => open = false,
            other if !open => out.push(other),
            _ => {}
        }
    }
    out
}

/// Returns the names in the first column of the tables below `heading`, up to the next heading of the same depth.
#[must_use]
pub fn names_in_table(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next().map(str::to_owned));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_at_spawn_sites() {
        let cases: [(&str, &[&str]); 10] = [
            ("Pool::start(\"bcrypt\", size, work)?", &["bcrypt-N"]),
            ("group.spawn(\"writer\", move || run())?;", &["writer"]),
            ("Builder::new().name(format!(\"ops-{number}\"))", &["ops-N"]),
            ("Builder::new().name(format!(\"fetch-from-{}\", source.0))", &["fetch-from-N"]),
            ("const NAME: &str = \"door-accept\";\nBuilder::new().name(NAME.to_owned())", &["door-accept"]),
            ("Builder::new().name(name)", &[]),
            ("scope.spawn(|| work())", &[]),
            ("self.spawn(\n    \"long\".to_owned(),\n    work)", &["long"]),
            ("#[cfg(test)]\nmod tests {\n    group.spawn(\"test\", f);\n}", &[]),
            ("// spawn(\"comment\", f)\nlog(\"spawn\", 1);", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(thread_names(text).into_iter().collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn names_are_read_from_the_table() {
        let page = "# A\n\n## Threads\n| thread | kind |\n|---|---|\n| `a`, `b-N` | `no` |\n\n| other | `no` |\n## Next\n| `no` | |\n";
        assert_eq!(names_in_table(page, "## Threads").into_iter().collect::<Vec<_>>(), ["a", "b-N"]);
    }
}
