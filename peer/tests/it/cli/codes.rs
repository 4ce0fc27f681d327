//! Exit codes, and messages with advice.

use super::{Stage, ran};

/// The expected failure of a command.
struct Expected<'a> {
    code: i32,
    /// The stable word.
    word: &'a str,
    /// Part of the message.
    part: &'a str,
}

/// Checks code, stable word and message of failures, as text and as JSON.
fn check(stage: &Stage, who: &str, arguments: &[&str], expected: &Expected<'_>) {
    let Expected { code, word, part } = *expected;
    let text = stage.run(who, arguments).code(code).complains("peernet: error: ").complains(part);
    assert!(text.out.is_empty(), "{:?}", text.out);
    let mut with_json = arguments.to_vec();
    with_json.push("--json");
    let json = stage.run(who, &with_json).code(code).json();
    assert_eq!((json["code"].as_str(), json["exit_code"].as_i64()), (Some(word), Some(i64::from(code))), "{json}");
    assert!(json["error"].as_str().is_some_and(|error| error.contains(part)), "{json}");
}

#[test]
fn failures_have_an_exit_code_a_word_and_a_message() {
    let stage = Stage::with(&["alice"]);
    let hash = stage.file("a.bin", 9);
    let unknown = "0f".repeat(32);
    for (who, arguments, code, word, part) in [
        ("alice", &["frobnicate"][..], 2, "usage", "--help"),
        ("alice", &[], 2, "usage", "--help"),
        ("alice", &["download", "abc"], 2, "usage", "64 hexadecimal"),
        ("alice", &["download", "0f0f0f0f0f0f0f0f0f"], 2, "usage", "64 hexadecimal"),
        ("alice", &["share"], 2, "usage", "no file given"),
        ("alice", &["share", "a.bin", "--port", "80000"], 2, "usage", "80000"),
        ("alice", &["share", "."], 2, "usage", "folder"),
        ("alice", &["status", "--tracker", "ftp://x"], 2, "usage", "tracker URL"),
        ("alice", &["completions", "tcsh"], 2, "usage", "bash"),
        ("stranger", &["status"], 3, "refused", "peernet register"),
        ("stranger", &["download", &unknown], 3, "refused", "peernet login"),
        ("stranger", &["share", "a.bin", "--no-daemon"], 3, "refused", "peernet login"),
        ("stranger", &["daemon"], 3, "refused", "peernet login"),
        ("alice", &["download", &unknown], 4, "not_found", ""),
        ("alice", &["unshare", "a.bin"], 4, "not_found", "not shared here"),
        ("alice", &["unshare", &unknown], 4, "not_found", "not shared here"),
        ("alice", &["status", "--daemon"], 4, "not_found", "peernet daemon"),
        ("alice", &["search", "x", "--tracker", "http://127.0.0.1:1"], 3, "refused", "peernet login"),
        ("stranger", &["register", "--tracker", "http://127.0.0.1:1"], 6, "network", "is it running"),
        ("alice", &["share", "absent.bin"], 7, "local_disk", "absent.bin"),
        ("alice", &["verify", "absent.bin"], 7, "local_disk", "absent.bin"),
    ] {
        check(&stage, who, arguments, &Expected { code, word, part });
    }
    // A verdict is a result, not a failure to give one.
    let wrong = stage.run("alice", &["verify", "a.bin", &unknown, "--json"]).code(5).json();
    assert_eq!((wrong["matches"].as_bool(), wrong["file_hash"].as_str()), (Some(false), Some(hash.as_str())));
    stage.run("alice", &["verify", "a.bin", &unknown]).code(5).says("WRONG");
}

#[test]
fn status_works_while_the_tracker_is_down() {
    let mut stage = Stage::with(&["alice"]);
    stage.tracker.take().unwrap().stop();
    let status = stage.run("alice", &["status", "--json"]).code(6).json();
    assert!(status["peer_id"].is_string() && status["token_balance"].is_null(), "{status}");
    assert!(status["tracker_error"].as_str().unwrap().contains("is it running"), "{status}");
    stage.run("alice", &["search", "x"]).code(6).complains("is it running");
    stage.run("alice", &["list"]).ok();
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    let stage = Stage::new();
    let mut shell = stage.command_of("sh", "alice", &["-c", "\"$0\" completions bash | head -n 1", super::PROGRAM]);
    let ran = ran(&mut shell).ok();
    assert!(ran.err.is_empty(), "{:?}", ran.err);
}
