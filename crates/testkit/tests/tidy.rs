//! The house rules a compiler does not know, run as tests over the whole tree: sizes, arrows, and where things may be said.
// Clippy knows functions marked #[test] only, not what they share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// No source file is longer.
const FILE_LINES_MAX: usize = 800;
/// No function is longer.
const FUNCTION_LINES_MAX: usize = 70;
/// Where `unsafe` may be written, each file with its reason at its head.
const UNSAFE_FILES: &[&str] = &[
    "bench/src/measure.rs",
    "crates/testkit/src/postgres/",
    "crates/testkit/src/postgres.rs",
    "crates/testkit/src/process.rs",
    "crates/threads/src/priority.rs",
    "peer/src/grpc/marshal.rs",
    "peer/src/grpc/server/listening.rs",
    "peer/src/files/hashing/digest/sha_ni.rs",
    "peer/src/malloc.rs",
    "peer/src/files/part/sys.rs",
];
/// Which of our crates each of our crates may use outside tests.
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

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every source file with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for member in ARROWS.iter().map(|(member, _)| *member) {
        collect(&root().join(member), &mut found);
    }
    assert!(found.len() > 50, "the walk must find the tree, found {}", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, found);
        } else if name.ends_with(".rs") {
            let shown = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push((shown, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Fails with every offence at once. `offence` looks at one file and names what it sees.
fn check(rule: &str, offence: impl Fn(&str, &str) -> Vec<String>) {
    let offences: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| !path.ends_with("tests/tidy.rs"))
        .flat_map(|(path, text)| offence(path, text).into_iter().map(move |what| format!("{path}: {what}")))
        .collect();
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
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

#[test]
fn tiny_http_listens_nowhere() {
    // One request can abort the process of its listener, on loopback too. Its types and its printer are used, behind the door.
    check("HTTP is served by crates/door only", |_, text| {
        lines(text, |line| {
            line.contains("tiny_http::Server") || (line.contains("use tiny_http") && has_word(line, "Server"))
        })
    });
}

#[test]
fn no_file_is_too_long() {
    check("files have at most 800 lines", |_, text| {
        let count = text.lines().count();
        if count > FILE_LINES_MAX { vec![format!("{count} lines")] } else { Vec::new() }
    });
}

#[test]
fn no_function_is_too_long() {
    check("functions have at most 70 lines", |_, text| {
        functions(text)
            .filter(|(_, len)| *len > FUNCTION_LINES_MAX)
            .map(|(name, len)| format!("{name} has {len} lines"))
            .collect()
    });
}

/// Name and length of each function: from its `fn` to the closing brace of the same indentation, which rustfmt guarantees.
fn functions(text: &str) -> impl Iterator<Item = (String, usize)> + '_ {
    let all: Vec<&str> = text.lines().collect();
    (0..all.len()).filter_map(move |start| {
        let line = all[start];
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('"')).collect();
        let at = words.iter().position(|word| *word == "fn")?;
        let modifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "default"];
        if !words[..at].iter().all(|word| modifiers.contains(word)) {
            return None;
        }
        let end = (start..all.len()).find(|i| {
            let rest = all[*i];
            rest.len() - rest.trim_start().len() == indent
                && (rest.trim() == "}" || rest.ends_with(';') || rest.ends_with("{}"))
        })?;
        Some(((*words.get(at + 1)?).to_owned(), end - start + 1))
    })
}

#[test]
fn function_lengths_are_measured() {
    let text = "fn short() {}\n\npub fn three(\n    a: u8,\n) {\n    body();\n}\n";
    let found: Vec<_> = functions(text).collect();
    assert_eq!(found, [("short()".to_owned(), 1), ("three(".to_owned(), 5)]);
}

#[test]
fn every_file_says_what_it_owns() {
    check(
        "files begin with a //! head",
        |_, text| {
            if text.starts_with("//!") { Vec::new() } else { vec!["no head".to_owned()] }
        },
    );
}

#[test]
fn modules_are_named_files() {
    check("name.rs and name/, not mod.rs", |path, _| {
        if path.ends_with("/mod.rs") { vec!["mod.rs".to_owned()] } else { Vec::new() }
    });
}

#[test]
fn nothing_is_left_undone() {
    check("no FIXME, todo!, unimplemented! or #[ignore]", |_, text| {
        let words = ["FIXME", "TODO", "todo!(", "unimplemented!(", "#[ignore", "#[should_panic"];
        text.lines().filter(|line| words.iter().any(|word| line.contains(word))).map(str::to_owned).collect()
    });
}

#[test]
fn nobody_sleeps() {
    check("wait on an event with a timeout, never sleep", |_, text| lines(text, |line| line.contains("thread::sleep")));
}

#[test]
fn grpc_is_spoken_in_one_place() {
    check("grpcio and futures only under peer/src/grpc", |path, text| {
        if path.starts_with("peer/src/grpc")
            || path == "crates/testkit/src/v1/peer.rs"
            || path.starts_with("peer/tests/")
        {
            return Vec::new();
        }
        lines(text, |line| ["grpcio", "futures_"].iter().any(|word| line.contains(word)))
    });
}

#[test]
fn sql_lives_in_the_store() {
    check("SQL only under tracker/src/store and in schema.sql", |path, text| {
        if path.starts_with("tracker/src/store") || is_test_path(path) {
            return Vec::new();
        }
        let verbs = ["\"SELECT ", "\"INSERT INTO", "\"UPDATE ", "\"DELETE FROM", "\"CREATE TABLE", "\"ALTER TABLE"];
        lines(text, |line| verbs.iter().any(|verb| line.contains(verb)))
    });
}

#[test]
fn unsafe_is_where_we_know_it() {
    check("unsafe only in the named files", |path, text| {
        if UNSAFE_FILES.iter().any(|file| path.starts_with(file)) {
            return Vec::new();
        }
        lines(text, |line| line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl"))
    });
}

#[test]
fn unwrap_is_for_tests() {
    check("no unwrap outside tests", |path, text| {
        if is_test_path(path) {
            return Vec::new();
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        lines(code, |line| line.contains(".unwrap()"))
    });
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    check("no absolute path of a machine", |_, text| {
        let paths = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/")];
        lines(text, |line| paths.iter().any(|path| line.contains(path)))
    });
}

#[test]
fn arrows_point_downwards() {
    for (member, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        for line in section.lines().filter(|line| line.starts_with("peernet")) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            assert!(allowed.contains(&name), "{member} may not use {name}");
        }
    }
}

#[test]
fn every_declared_dependency_is_used() {
    let sources = sources();
    for (member, _) in ARROWS {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        let of_member = || sources.iter().filter(|(path, _)| path.starts_with(&format!("{member}/")));
        for name in dependencies(&manifest) {
            let word = name.replace('-', "_");
            assert!(of_member().any(|(_, text)| text.contains(&word)), "{member} declares {name} and never uses it");
        }
    }
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

#[test]
fn the_tracker_compiles_no_grpc() {
    let manifest = fs::read_to_string(root().join("tracker/Cargo.toml")).unwrap();
    assert!(!manifest.contains("grpc"), "cargo build -p peernet-tracker must compile no gRPC");
}
