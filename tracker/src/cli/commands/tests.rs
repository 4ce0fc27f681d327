//! Every command as it is read from a command line, and its exit code on a folder without a tracker.

use super::*;
use crate::cli::arguments::{Exit, parse};
use crate::cli::{EXIT_FAILED, EXIT_NO, EXIT_OK, EXIT_USAGE};

fn read(words: &[&str]) -> Result<Command, Exit> {
    let args: Vec<String> = ["peernet-tracker"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    parse(&args).map(|typed| typed.command)
}

/// Reads a command with words divided by spaces, and returns its parts as debug text.
fn parts(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    format!("{:?}", read(&words).ok().expect(line))
}

#[test]
fn every_option_lands_in_its_part_of_the_command() {
    for (line, expected) in [
        ("serve", "Serve(Serve)"),
        ("health", "Health(Health)"),
        ("config", "Config(ShowConfig { default: false })"),
        ("config --default", "Config(ShowConfig { default: true })"),
        ("doctor --json", "Doctor(Doctor { json: true })"),
        ("admin doctor", "Doctor(Doctor { json: false })"),
        ("admin users", "Users(Users { matching: None, limit: 100, after: None, json: false })"),
        (
            "admin users --match a: --limit 1 --after x --json",
            "Users(Users { matching: Some(\"a:\"), limit: 1, after: Some(\"x\"), json: true })",
        ),
        ("admin show a:1", "Show(Show { account: \"a:1\", json: false })"),
        ("admin suspend a:1 --reason x", "Suspend(Suspend { account: \"a:1\", reason: \"x\" })"),
        ("admin resume a:1", "Resume(Resume { account: \"a:1\" })"),
        ("admin revoke a:1", "Revoke(Revoke { account: \"a:1\" })"),
        ("admin invite create", "Create(Create { uses: 1, days: 14, note: \"\", json: false })"),
        (
            "admin invite create --uses 2 --days 3 --note x --json",
            "Create(Create { uses: 2, days: 3, note: \"x\", json: true })",
        ),
        ("admin invite list --json", "List(List { json: true })"),
        ("admin invite revoke 0123", "Revoke(Revoke { id: \"0123\" })"),
        ("admin audit", "Audit(Audit { account: None, limit: 100, json: false })"),
        (
            "admin audit --account x --limit 1000 --json",
            "Audit(Audit { account: Some(\"x\"), limit: 1000, json: true })",
        ),
        ("admin backup f", "Backup(Backup { file: \"f\" })"),
        ("admin restore f", "Restore(Restore { file: \"f\" })"),
        ("admin authority show --pem", "Show(Show { json: false, pem: true })"),
        ("admin authority issue", "Issue(Issue { name: [], days: 90 })"),
        ("admin authority issue --name a --days 1 --name b", "Issue(Issue { name: [\"a\", \"b\"], days: 1 })"),
        ("admin authority rotate", "Rotate(Rotate)"),
        ("admin ledger verify --json", "Verify(Verify { json: true })"),
    ] {
        let found = parts(line);
        assert!(found.contains(expected), "{line}: {found}");
    }
}

#[test]
fn a_number_out_of_range_or_missing_word_is_a_mistake() {
    for line in [
        "admin users --limit 0",
        "admin users --limit 1001",
        "admin users --limit x",
        "admin audit --limit 0",
        "admin invite create --uses -1",
        "admin invite create --days 4294967296",
        "admin authority issue --days x",
        "admin show",
        "admin show a b",
        "admin suspend a:1",
        "admin backup",
        "admin invite revoke",
        "admin authority",
        "doctor now",
        "health --json",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let exit = read(&words).expect_err(line);
        assert_eq!(exit.print(), EXIT_USAGE, "{line}");
    }
}

#[test]
fn exit_codes_tell_apart_usage_refusal_and_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config { data_dir: folder.path().join("none"), listen: "127.0.0.1:0".to_owned(), ..Config::default() };
    let code = |words: &[&str]| read(words).ok().expect("is read").run(config.clone());
    for (line, expected) in [
        ("config", EXIT_OK),
        ("doctor", EXIT_OK),
        ("doctor --json", EXIT_OK),
        ("health", EXIT_NO),
        ("admin doctor", EXIT_OK),
        ("admin users", EXIT_FAILED),
        ("admin show a:1", EXIT_FAILED),
        ("admin suspend a:1 --reason x", EXIT_FAILED),
        ("admin resume a:1", EXIT_FAILED),
        ("admin revoke a:1", EXIT_FAILED),
        ("admin invite create", EXIT_FAILED),
        ("admin invite list", EXIT_FAILED),
        ("admin invite revoke x", EXIT_FAILED),
        ("admin audit", EXIT_FAILED),
        ("admin audit --account x", EXIT_USAGE),
        ("admin backup f", EXIT_FAILED),
        ("admin authority show", EXIT_NO),
        ("admin authority issue --days 0", EXIT_USAGE),
        ("admin authority rotate", EXIT_NO),
        ("admin ledger verify", EXIT_FAILED),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(code(&words), expected, "{line}");
    }
    assert!(!config.data_dir.exists(), "no command makes the folder");
}
