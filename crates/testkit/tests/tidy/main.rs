//! `cargo tidy`: the rules of this tree that no compiler checks. `cargo tidy -- --report [PATH] [--since COMMIT] [--show NAME]`
//! prints the figures of a checkout instead, and the places that a figure counts.
// Clippy knows functions marked #[test] only.
#![allow(clippy::unwrap_used)]

mod code;
mod documents;
mod exemptions;
mod prose;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use peernet_testkit::tidy::report::{Figure, figures};
use peernet_testkit::tidy::tree::Tree;

/// Commit subjects are checked from the commit behind this one.
const SUBJECTS_SINCE: &str = "8d39f34";

/// A rule: its name, and a check that returns what breaks it, one offence a line.
type Rule = (&'static str, fn(&Tree) -> Result<(), String>);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--report") { report(&arguments) } else { run(&arguments) }
}

/// Runs every rule whose name contains one of the arguments, or all, and prints as libtest does.
fn run(arguments: &[String]) -> ExitCode {
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let rules: Vec<Rule> = code::RULES
        .iter()
        .chain(prose::RULES)
        .chain(documents::RULES)
        .copied()
        .filter(|(name, _)| chosen(name))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        rules.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let tree = Tree::read(&root());
    assert!(tree.sources.len() > 50, "the walk must find the tree, found {}", tree.sources.len());
    println!("\nrunning {} tests", rules.len());
    let mut failed = 0;
    for (name, rule) in &rules {
        match rule(&tree) {
            Ok(()) => println!("test {name} ... ok"),
            Err(offences) => {
                failed += 1;
                println!("test {name} ... FAILED\n{offences}\n");
            }
        }
    }
    let outcome = if failed == 0 { "ok" } else { "FAILED" };
    let passed = rules.len() - failed;
    println!("\ntest result: {outcome}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the figures of the checkout that the arguments name, this one by default.
fn report(arguments: &[String]) -> ExitCode {
    let mut path = root();
    let mut since = SUBJECTS_SINCE.to_owned();
    let mut show = None;
    let mut rest = arguments.iter().filter(|argument| *argument != "--report");
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--since" => since = rest.next().cloned().unwrap_or(since),
            "--show" => show = rest.next().cloned(),
            option if option.starts_with('-') => {
                eprintln!("usage: cargo tidy -- --report [PATH] [--since COMMIT] [--show NAME]");
                return ExitCode::from(2);
            }
            folder => path = PathBuf::from(folder),
        }
    }
    for figure in figures(&Tree::read(&path), &subjects(&path, &since).unwrap_or_default()) {
        print(&figure, show.as_deref());
    }
    ExitCode::SUCCESS
}

fn print(figure: &Figure, show: Option<&str>) {
    println!("{:58} {}", figure.name, figure.value);
    if show.is_some_and(|name| figure.name.contains(name)) {
        figure.places.iter().for_each(|place| println!("    {place}"));
    }
}

/// Returns the subjects of the commits behind `since`, or nothing where git does not know that commit.
fn subjects(checkout: &Path, since: &str) -> Option<Vec<String>> {
    let range = format!("{since}..HEAD");
    let log =
        Command::new("git").args(["log", "--no-merges", "--format=%s", &range]).current_dir(checkout).output().ok()?;
    log.status.success().then(|| String::from_utf8_lossy(&log.stdout).lines().map(str::to_owned).collect())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
