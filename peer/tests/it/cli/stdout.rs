//! `download --stdout`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::{PATIENCE, SIGINT, Stage, last_word};

const MIB: u64 = 1 << 20;
/// Far more than fits between the program and its reader.
const SIZE: u64 = 24 * MIB + 3;

fn spawn(stage: &Stage, arguments: &[&str]) -> Child {
    let mut command = stage.command("bob", &[&["download", "--stdout"], arguments].concat());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn shared(stage: &Stage, name: &str) -> (peernet_testkit::process::Process, String) {
    let mut sharer = stage.start("alice", &["share", name, "--no-daemon", "--listen", "127.0.0.1:0"]);
    let link = sharer.line_with("Link: ", PATIENCE);
    (sharer, last_word(&link).to_owned())
}

/// Expects that no collected data is left on the disk.
fn assert_clean(stage: &Stage) {
    for folder in [stage.path("bob"), stage.folder.path().to_owned()] {
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("peernet-")).collect();
        assert!(left.is_empty(), "{left:?} in {}", folder.display());
    }
    assert!(!stage.path("downloads").exists());
}

fn last_line(stderr: ChildStderr) -> String {
    BufReader::new(stderr).lines().map_while(Result::ok).last().unwrap_or_default()
}

#[test]
fn the_bytes_and_nothing_else_go_to_standard_output() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("big.bin", SIZE);
    let (_sharer, link) = shared(&stage, "big.bin");
    let content = std::fs::read(stage.path("big.bin")).unwrap();
    for (target, options) in [(&link, &["--json"][..]), (&hash, &["--json", "--output", "."]), (&link, &[])] {
        let done = spawn(&stage, &[&[target.as_str()], options].concat()).wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(done.stdout == content, "{target} {options:?}");
        if options.contains(&"--json") {
            let text = String::from_utf8(done.stderr).unwrap();
            let document: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            assert_eq!((&document["size"], &document["path"]), (&Value::from(SIZE), &Value::Null));
        }
        assert_clean(&stage);
    }
    let empty = stage.file("empty.bin", 0);
    let (_sharer, _) = shared(&stage, "empty.bin");
    let done = spawn(&stage, &[&empty]).wait_with_output().unwrap();
    assert!(done.status.success() && done.stdout.is_empty());
}

#[test]
fn it_can_be_piped_into_tar() {
    let stage = Stage::with(&["alice", "bob"]);
    stage.file("a.bin", 5 * MIB + 1);
    stage.file("b.bin", 7);
    let tar = |arguments: &[&str]| {
        let mut command = Command::new("tar");
        command.current_dir(stage.folder.path()).args(arguments);
        command
    };
    assert!(tar(&["cf", "both.tar", "a.bin", "b.bin"]).status().unwrap().success());
    std::fs::create_dir(stage.path("out")).unwrap();
    let (_sharer, link) = shared(&stage, "both.tar");
    let mut download = spawn(&stage, &[&link]);
    let stdout = download.stdout.take().unwrap();
    assert!(tar(&["x", "-C", "out"]).stdin(stdout).status().unwrap().success());
    assert!(download.wait().unwrap().success());
    stage.assert_same("a.bin", "out/a.bin");
    stage.assert_same("b.bin", "out/b.bin");
}

#[test]
fn a_reader_that_closes_the_pipe_ends_the_stream_quietly() {
    let stage = Stage::with(&["alice", "bob"]);
    stage.file("big.bin", SIZE);
    let (_sharer, link) = shared(&stage, "big.bin");
    let mut download = spawn(&stage, &[&link]);
    let mut some = [0; 1_000];
    download.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert!(std::fs::read(stage.path("big.bin")).unwrap().starts_with(&some));
    let done = download.wait_with_output().unwrap();
    let text = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(141) && !text.contains("error"), "{:?} {text}", done.status);
    assert_clean(&stage);
}

#[test]
fn ctrl_c_ends_a_stream_whose_reader_stalls() {
    let stage = Stage::with(&["alice", "bob"]);
    stage.file("big.bin", SIZE);
    let (_sharer, link) = shared(&stage, "big.bin");
    let mut download = spawn(&stage, &[&link, "--json"]);
    let mut lines = BufReader::new(download.stderr.take().unwrap()).lines();
    // Told once a second for as long as it runs: by then it is stuck, or will be.
    let event = lines.next().unwrap().unwrap();
    assert!(event.contains("bytes_done"), "{event}");
    let begun = Instant::now();
    let kill = Command::new("kill").args([format!("-{SIGINT}"), download.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(download.wait().unwrap().code(), Some(130));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_clean(&stage);
}

#[test]
fn options_that_need_a_file_are_refused_for_a_stream() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("a.bin", 5);
    let collection = format!("peernet:?xt=urn:sha256:{hash}&kind=collection");
    for (arguments, code, part) in [
        (&[collection.as_str()][..], 2, "folder"),
        (&[hash.as_str(), "--share"], 2, "--share"),
        (&[hash.as_str(), "--force"], 2, "--force"),
        (&["nonsense"], 2, ""),
        (&[hash.as_str(), "--port", "1"], 2, ""),
        (&[hash.as_str()], 4, ""),
    ] {
        let mut refused = spawn(&stage, &[arguments, &["--json"]].concat());
        let mut out = Vec::new();
        refused.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        let document: Value = serde_json::from_str(&last_line(refused.stderr.take().unwrap())).unwrap();
        assert!(out.is_empty() && refused.wait().unwrap().code() == Some(code), "{arguments:?} {document}");
        assert!(document["error"].as_str().unwrap().contains(part), "{document}");
    }
    assert_clean(&stage);
}
