//! The order of settings: options win over the environment, and that over `config.toml`.

use std::fs;

use super::{Stage, ran};

/// A tracker's URL at which no process listens.
const DEAD: &str = "http://127.0.0.1:1";

/// Registers with the tracker that these places name, and returns the exit code.
fn register(stage: &Stage, who: &str, option: Option<&str>, environment: Option<&str>, file: Option<&str>) -> i32 {
    fs::create_dir_all(stage.path(who)).unwrap();
    if let Some(url) = file {
        fs::write(stage.path(who).join("config.toml"), format!("tracker = \"{url}\"\n")).unwrap();
    }
    let option: Vec<&str> = option.into_iter().flat_map(|url| ["--tracker", url]).collect();
    let mut command = stage.command(who, &[&["register"], &option[..]].concat());
    match environment {
        Some(url) => command.env("PEERNET_TRACKER", url),
        None => command.env_remove("PEERNET_TRACKER"),
    };
    ran(&mut command).code
}

#[test]
fn options_win_over_the_environment_and_that_over_the_file() {
    let stage = Stage::new();
    let good = Some(stage.url.as_str());
    let dead = Some(DEAD);
    for (who, option, environment, file, code) in [
        ("file", None, None, good, 0),
        ("environment", None, good, dead, 0),
        ("option", good, dead, dead, 0),
        ("dead-file", None, None, dead, 6),
        ("dead-environment", None, dead, good, 6),
        ("dead-option", dead, good, good, 6),
        ("nowhere", None, None, None, 2),
    ] {
        assert_eq!(register(&stage, who, option, environment, file), code, "{who}");
    }
}

#[test]
fn plaintext_is_set_by_file_and_environment() {
    let stage = Stage::with(&["alice"]);
    // A tracker of plain HTTP on another machine is refused (2) before anything is sent, or tried and not reached (6).
    let register = |file: &str, environment: Option<&str>| {
        fs::write(stage.path("alice").join("config.toml"), file).unwrap();
        let arguments = ["register", "--tracker", "http://peernet.invalid:1"];
        let mut command = stage.command("alice", &arguments);
        environment.map(|value| command.env("PEERNET_ALLOW_PLAINTEXT", value));
        ran(&mut command).code
    };
    for (file, environment, code) in [
        ("", None, 2),
        ("allow_plaintext = true\n", None, 6),
        ("allow_plaintext = false\n", None, 2),
        ("", Some("true"), 6),
        ("allow_plaintext = true\n", Some("false"), 2),
        ("allow_plaintext = true\n", Some("0"), 2),
        ("allow_plaintext = \"yes\"\n", None, 2),
        ("", Some("yes"), 2),
    ] {
        assert_eq!(register(file, environment), code, "{file:?} {environment:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let stage = Stage::new();
    fs::create_dir_all(stage.path("alice/config.toml")).unwrap();
    stage.run("alice", &["list"]).code(7).complains("config.toml");
    fs::create_dir_all(stage.path("bob")).unwrap();
    fs::write(stage.path("bob/config.toml"), "x".repeat((1 << 20) + 1)).unwrap();
    stage.run("bob", &["list"]).code(2).complains("config.toml");
}
