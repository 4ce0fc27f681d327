//! Certificates, fingerprints and plaintext on the command line.

use std::fs;

use peernet_testkit::fixture::bytes;
use peernet_testkit::v1::peer::V1Sharer;

use super::{Stage, ran};

impl Stage {
    /// The same tracker, spoken to in TLS.
    fn https(&self) -> String {
        self.url.replace("http://", "https://")
    }

    fn fingerprint(&self) -> String {
        self.tracker.as_ref().unwrap().app().authority.fingerprint()
    }
}

#[test]
fn the_first_authority_is_shown_and_a_wrong_one_is_refused() {
    let stage = Stage::new();
    let url = stage.https();
    let right = stage.fingerprint();
    let wrong = "0f".repeat(32);
    let register =
        |who: &str, more: &[&str]| stage.run(who, &[&["register", "--tracker", url.as_str()][..], more].concat());
    register("alice", &[]).ok().complains(&format!("trusting the swarm's authority sha256:{right} on first use"));
    assert_eq!(register("bob", &["--json"]).ok().json()["ca_fingerprint"], right.as_str());
    let told = register("carol", &["--ca-fingerprint", &right.to_uppercase()]).ok();
    assert!(!told.err.iter().any(|line| line.contains("first use")), "{:?}", told.err);
    register("dave", &["--ca-fingerprint", &wrong]).code(3).complains(&right);
    register("dave", &["--ca-fingerprint=nonsense"]).code(2).complains("64 hexadecimal digits");
    let mut by_environment = stage.command("dave", &["register", "--tracker", &url]);
    ran(by_environment.env("PEERNET_CA_FINGERPRINT", &wrong)).code(3).complains(&wrong);
    assert!(!stage.path("dave/credentials.json").exists());
    // A certificate of the swarm's authority does not count on the public web, nor the other way round.
    register("dave", &["--tracker-tls", "public"]).code(3).complains("public web");
    register("dave", &["--tracker-tls", "else"]).code(2).complains("swarm or public");
    // From then on the URL is the account's.
    let without = |arguments: &[&str]| ran(stage.command("alice", arguments).env_remove("PEERNET_TRACKER"));
    without(&["status"]).ok().says(&url);
}

#[test]
fn a_share_link_names_the_authority_to_trust() {
    let stage = Stage::with(&["alice"]);
    stage.file("a.bin", 70_000);
    let (_daemon, _) = stage.daemon("alice");
    // As if alice had come by TLS.
    let link = stage.run("alice", &["share", "a.bin", "--json"]).ok().json()["link"].as_str().unwrap().to_owned();
    let right = stage.fingerprint();
    let wrong = "0f".repeat(32);
    assert!(link.contains(&format!("&ca={right}")), "{link}");
    let link = link.replace("http://", "https://");
    let register = |who: &str, link: &str| stage.run(who, &["register", "--tracker", link]);
    let told = register("bob", &link).ok();
    assert!(!told.err.iter().any(|line| line.contains("first use")), "{:?}", told.err);
    let mut download = stage.command("bob", &["download", &link, "--output", "b.bin"]);
    ran(download.env_remove("PEERNET_TRACKER")).ok();
    stage.assert_same("a.bin", "b.bin");
    register("carol", &link.replace(&right, &wrong)).code(3).complains(&right);
    assert!(!stage.path("carol/credentials.json").exists());
    // One from before there were fingerprints in links.
    let old = link.replace(&format!("&ca={right}"), "");
    register("dave", &old).ok().complains("on first use");
    register("erin", &link.replace("&tr=", "&x=")).code(2).complains("names no tracker");
    register("erin", &link.replace(&right, "12")).code(2).complains("ca in the link");
}

#[test]
fn plaintext_needs_the_option_that_allows_it() {
    let stage = Stage::with(&["alice", "bob"]);
    for url in ["http://tracker.invalid:1", "http://127.0.0.1.example:1"] {
        stage.run("carol", &["register", "--tracker", url]).code(2).complains("--allow-plaintext");
        stage.run("carol", &["register", "--tracker", url, "--allow-plaintext"]).code(6);
    }
    stage.run("alice", &["daemon", "--plaintext-port", "1"]).code(2).complains("--allow-plaintext");
    let mut nonsense = stage.command("alice", &["status"]);
    ran(nonsense.env("PEERNET_ALLOW_PLAINTEXT", "perhaps")).code(2).complains("PEERNET_ALLOW_PLAINTEXT");

    let old = V1Sharer::share(&stage.url, "old.bin", bytes(3 << 20, 5), |_, data| data);
    stage.run("bob", &["download", &old.file_hash]).code(6).complains("--allow-plaintext");
    assert_eq!(old.served(), 0);
    stage.run("bob", &["download", &old.file_hash, "--allow-plaintext"]).ok();
    fs::remove_file(stage.path("downloads/old.bin")).unwrap();
    fs::write(stage.path("bob/config.toml"), "allow_plaintext = true\n").unwrap();
    let mut overruled = stage.command("bob", &["download", &old.file_hash]);
    ran(overruled.env("PEERNET_ALLOW_PLAINTEXT", "0")).code(6);
    stage.run("bob", &["download", &old.file_hash]).ok();
}

#[test]
fn status_shows_where_a_daemon_uses_plaintext() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("a.bin", 3 << 20);
    let (daemon, address) = stage.daemon("alice");
    let status = stage.run("alice", &["status", "--json"]).ok().json();
    assert!(status["daemon_plaintext_listen"].is_null(), "{status}");
    stage.run("alice", &["status"]).ok().says(&format!("{address} (tls)"));
    daemon.kill9();
    let arguments = ["daemon", "--listen", "127.0.0.1:0", "--allow-plaintext"];
    let mut daemon = stage.start("alice", &arguments);
    daemon.line_with("peernet daemon listening on ", super::PATIENCE);
    let status = stage.run("alice", &["status", "--json"]).ok().json();
    let open = status["daemon_plaintext_listen"].as_str().unwrap();
    assert!(open.starts_with("127.0.0.1:") && status["daemon_listen"] != open, "{status}");
    stage.run("alice", &["status"]).ok().says(&format!("plaintext on {open}"));
    stage.run("alice", &["share", "a.bin"]).ok();
    // Peers that have certificates speak TLS nevertheless.
    stage.run("bob", &["download", &hash]).ok();
    for name in ["identity-key.pem", "certificate.json"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(stage.path("alice").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn an_invite_code_names_the_authority_to_trust() {
    let stage = Stage::new();
    let url = stage.https();
    let right = stage.fingerprint();
    let wrong = "0f".repeat(32);
    let register = |who: &str, invite: &str| stage.run(who, &["register", "--tracker", &url, "--invite", invite]);
    register("alice", &format!("some-code@{wrong}")).code(3).complains(&right);
    assert!(!stage.path("alice/credentials.json").exists());
    let told = register("alice", &format!("some-code@{right}")).ok();
    assert!(!told.err.iter().any(|line| line.contains("first use")), "{:?}", told.err);
    register("bob", "some-code@nonsense").code(2).complains("64 hexadecimal digits");
}
