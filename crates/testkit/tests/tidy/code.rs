//! Rules of code: sizes, dependencies between crates, and where SQL, gRPC and `unsafe` may stand.

use std::fs;

use peernet_testkit::tidy::report;
use peernet_testkit::tidy::rust::code_only;
use peernet_testkit::tidy::tree::Tree;

use crate::exemptions;
use crate::{Rule, root};

pub(crate) const RULES: &[Rule] = &[
    ("files_have_at_most_800_lines", files_are_short),
    ("functions_have_at_most_70_lines", |tree| exemptions::check("long functions", &report::long_functions(tree))),
    ("files_begin_with_a_head", files_have_heads),
    ("modules_are_named_files", modules_are_named_files),
    ("tiny_http_listens_nowhere", tiny_http_listens_nowhere),
    ("nothing_is_left_undone", nothing_is_left_undone),
    ("threads_never_sleep", threads_never_sleep),
    ("grpc_is_spoken_in_one_place", grpc_is_spoken_in_one_place),
    ("sql_lives_in_the_store", sql_lives_in_the_store),
    ("unsafe_stands_in_named_files", unsafe_stands_in_named_files),
    ("unwrap_is_for_tests", unwrap_is_for_tests),
    ("no_path_of_one_machine", no_path_of_one_machine),
    ("crates_use_only_crates_below", crates_use_only_crates_below),
    ("every_declared_dependency_is_used", every_declared_dependency_is_used),
    ("the_tracker_compiles_no_grpc", the_tracker_compiles_no_grpc),
];

/// No source file is longer.
const FILE_LINES_MAX: usize = 800;
/// The files that may contain `unsafe`, each with its reason at its head.
const UNSAFE_FILES: &[&str] = &[
    "bench/src/measure.rs",
    "crates/testkit/src/postgres/",
    "crates/testkit/src/postgres.rs",
    "crates/testkit/src/process.rs",
    "crates/threads/src/priority.rs",
    "peer/src/grpc/marshal.rs",
    "peer/src/grpc/server/listening.rs",
    "peer/src/files/hashing/digest/sha_ni.rs",
    "peer/src/files/part/sys.rs",
    "peer/src/malloc.rs",
];
/// The crates of ours that each of our crates may use outside tests.
const ARROWS: &[(&str, &[&str])] = &[
    ("protos", &[]),
    ("crates/arguments", &[]),
    ("crates/engine", &[]),
    ("crates/threads", &[]),
    ("crates/door", &["peernet-threads"]),
    ("crates/testkit", &["peernet-protos"]),
    ("tracker", &["peernet-arguments", "peernet-door", "peernet-engine", "peernet-protos", "peernet-threads"]),
    ("peer", &["peernet-arguments", "peernet-door", "peernet-engine", "peernet-protos", "peernet-threads"]),
    ("bench", &["peernet-engine", "peernet-protos", "peernet-testkit", "peernet-tracker"]),
    ("fuzz", &["peernet", "peernet-door", "peernet-engine", "peernet-protos", "peernet-tracker"]),
];

/// Fails with every offence at once. `offence` looks at one file and names what it sees.
fn check(tree: &Tree, rule: &str, offence: impl Fn(&str, &str) -> Vec<String>) -> Result<(), String> {
    let offences: Vec<String> = tree
        .sources
        .iter()
        .filter(|file| !file.path.starts_with("crates/testkit/tests/tidy/") && !file.path.contains("testkit/src/tidy"))
        .map(|file| (&file.path, &file.text))
        .flat_map(|(path, text)| offence(path, text).into_iter().map(move |what| format!("{path}: {what}")))
        .collect();
    if offences.is_empty() { Ok(()) } else { Err(format!("{rule}:\n{}", offences.join("\n"))) }
}

/// The numbered lines of `text` in which `wrong` holds; comments are passed over.
fn lines(text: &str, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//") && wrong(line))
        .map(|(number, line)| format!("line {}: {}", number + 1, line.trim()))
        .collect()
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

fn is_test_path(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.starts_with("crates/testkit/")
        || path.starts_with("bench/")
}

fn files_are_short(tree: &Tree) -> Result<(), String> {
    check(tree, "files have at most 800 lines", |_, text| {
        let count = text.lines().count();
        if count > FILE_LINES_MAX { vec![format!("{count} lines")] } else { Vec::new() }
    })
}

fn files_have_heads(tree: &Tree) -> Result<(), String> {
    check(tree, "files begin with a //! head", |_, text| {
        if text.starts_with("//!") { Vec::new() } else { vec!["no head".to_owned()] }
    })
}

fn modules_are_named_files(tree: &Tree) -> Result<(), String> {
    check(tree, "name.rs and name/, not mod.rs", |path, _| {
        if path.ends_with("/mod.rs") { vec!["mod.rs".to_owned()] } else { Vec::new() }
    })
}

// One request can abort the process of its listener, on loopback too. Its types and its printer are used, behind the
// door.
fn tiny_http_listens_nowhere(tree: &Tree) -> Result<(), String> {
    check(tree, "HTTP is served by crates/door only", |_, text| {
        lines(text, |line| {
            line.contains("tiny_http::Server") || (line.contains("use tiny_http") && has_word(line, "Server"))
        })
    })
}

fn nothing_is_left_undone(tree: &Tree) -> Result<(), String> {
    check(tree, "no FIXME, todo!, unimplemented! or #[ignore]", |_, text| {
        let words = ["FIXME", "TODO", "todo!(", "unimplemented!(", "#[ignore", "#[should_panic"];
        text.lines().filter(|line| words.iter().any(|word| line.contains(word))).map(str::to_owned).collect()
    })
}

fn threads_never_sleep(tree: &Tree) -> Result<(), String> {
    check(tree, "wait on an event with a timeout, never sleep", |_, text| {
        lines(text, |line| line.contains("thread::sleep"))
    })
}

fn grpc_is_spoken_in_one_place(tree: &Tree) -> Result<(), String> {
    check(tree, "grpcio and futures only under peer/src/grpc", |path, text| {
        if path.starts_with("peer/src/grpc")
            || path == "crates/testkit/src/v1/peer.rs"
            || path.starts_with("peer/tests/")
        {
            return Vec::new();
        }
        lines(text, |line| ["grpcio", "futures_"].iter().any(|word| line.contains(word)))
    })
}

fn sql_lives_in_the_store(tree: &Tree) -> Result<(), String> {
    check(tree, "SQL only under tracker/src/store, in the lease log's file and in schema.sql", |path, text| {
        if path.starts_with("tracker/src/store") || path == "tracker/src/replication/log_file.rs" || is_test_path(path)
        {
            return Vec::new();
        }
        let verbs = ["\"SELECT ", "\"INSERT INTO", "\"UPDATE ", "\"DELETE FROM", "\"CREATE TABLE", "\"ALTER TABLE"];
        lines(text, |line| verbs.iter().any(|verb| line.contains(verb)))
    })
}

fn unsafe_stands_in_named_files(tree: &Tree) -> Result<(), String> {
    check(tree, "unsafe only in the named files", |path, text| {
        if UNSAFE_FILES.iter().any(|file| path.starts_with(file)) {
            return Vec::new();
        }
        lines(text, |line| line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl"))
    })
}

fn unwrap_is_for_tests(tree: &Tree) -> Result<(), String> {
    check(tree, "no unwrap outside tests", |path, text| {
        if is_test_path(path) {
            return Vec::new();
        }
        lines(&code_only(text), |line| line.contains(".unwrap()"))
    })
}

fn no_path_of_one_machine(tree: &Tree) -> Result<(), String> {
    check(tree, "no absolute path of a machine", |_, text| {
        let paths = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/")];
        lines(text, |line| paths.iter().any(|path| line.contains(path)))
    })
}

fn crates_use_only_crates_below(_: &Tree) -> Result<(), String> {
    for (member, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        for line in section.lines().filter(|line| line.starts_with("peernet")) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !allowed.contains(&name) {
                return Err(format!("{member} may not use {name}"));
            }
        }
    }
    Ok(())
}

fn every_declared_dependency_is_used(tree: &Tree) -> Result<(), String> {
    for (member, _) in ARROWS {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        let of_member = || tree.sources.iter().filter(|file| file.path.starts_with(&format!("{member}/")));
        for name in dependencies(&manifest) {
            let word = name.replace('-', "_");
            if !of_member().any(|file| file.text.contains(&word)) {
                return Err(format!("{member} declares {name} and never uses it"));
            }
        }
    }
    Ok(())
}

/// The names below every heading that ends in `dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let sections = manifest
        .split("\n[")
        .filter(|section| section.lines().next().is_some_and(|heading| heading.ends_with("dependencies]")));
    let lines = sections.flat_map(|section| section.lines().skip(1));
    lines
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .collect()
}

fn the_tracker_compiles_no_grpc(_: &Tree) -> Result<(), String> {
    let manifest = fs::read_to_string(root().join("tracker/Cargo.toml")).unwrap();
    if manifest.contains("grpc") {
        Err("cargo build -p peernet-tracker must compile no gRPC".to_owned())
    } else {
        Ok(())
    }
}
