//! The life of a daemon: restarts, crashes, a second daemon, and its metrics.

use std::fs;

use super::{PATIENCE, SIGCONT, SIGINT, SIGSTOP, SIGTERM, Stage, ended};

#[test]
fn a_restarted_daemon_serves_the_same() {
    let stage = Stage::with(&["alice", "bob"]);
    let hashes = [stage.file("one.bin", 1), stage.file("two.bin", 2 << 20)];
    let (mut daemon, _) = stage.daemon("alice");
    stage.run("alice", &["share", "one.bin", "two.bin"]).ok();
    daemon.signal(SIGTERM);
    ended(&mut daemon).ok();
    assert_eq!(stage.announced("alice"), 0);
    stage.run("alice", &["list"]).ok().says(&hashes[0]).says(&hashes[1]);
    // A download that begins while no peer shares the file continues as soon as one does.
    let mut early = stage.start("bob", &["download", &hashes[1], "--output", "two.got"]);
    early.line_with("no peer shares it now; waiting", PATIENCE);
    let (daemon, _) = stage.daemon("alice");
    ended(&mut early).ok();
    stage.assert_same("two.bin", "two.got");

    // A crash leaves a lock file and a socket file behind, which do not stop the next daemon.
    daemon.kill9();
    assert!(stage.path("alice/control.sock").exists());
    stage.run("alice", &["status", "--daemon"]).code(4);
    let (mut daemon, _) = stage.daemon("alice");
    stage.run("alice", &["status", "--daemon", "--quiet"]).ok();
    wait_until_announced(&stage, "alice", 2);
    stage.run("bob", &["download", &hashes[0], "--output", "one.got"]).ok();
    daemon.signal(SIGINT);
    ended(&mut daemon).ok();
    assert!(!stage.path("alice/control.sock").exists());
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let stage = Stage::with(&["alice"]);
    let (_daemon, address) = stage.daemon("alice");
    stage.run("alice", &["daemon", "--listen", "127.0.0.1:0"]).code(8).complains("already serves");
    stage.run("alice", &["status", "--daemon"]).ok().says(&address);
    // Its port is taken for others too, and they are told.
    stage.run("bob", &["register"]).ok();
    stage.run("bob", &["daemon", "--listen", &address]).code(8).complains(&address);
}

#[test]
fn a_refused_share_says_why() {
    let stage = Stage::with(&["alice"]);
    let (_daemon, _) = stage.daemon("alice");
    stage.run("alice", &["share", "absent.bin"]).code(7).complains("absent.bin");
    fs::create_dir(stage.path("folder")).unwrap();
    fs::write(stage.path("folder/back\\slash"), "").unwrap();
    stage.run("alice", &["share", "folder"]).code(2).complains("slash");
    stage.run("alice", &["share", "alice"]).code(2).complains("own folder");
    stage.run("alice", &["list"]).ok().says("nothing is shared");
}

#[test]
fn files_shared_with_no_serve_are_served_by_the_next_daemon() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("later.bin", 3);
    let noted = stage.run("alice", &["share", "--no-serve", "later.bin"]).ok();
    assert!(!noted.out.iter().any(|line| line.contains("Announced")), "{:?}", noted.out);
    let (_daemon, _) = stage.daemon("alice");
    wait_until_announced(&stage, "alice", 1);
    stage.run("bob", &["download", &hash]).ok();
    stage.assert_same("later.bin", "downloads/later.bin");
}

/// The tracker hears of a daemon's shares in the background; each look is a whole process, which is pause enough.
fn wait_until_announced(stage: &Stage, who: &str, files: u64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while stage.announced(who) != files {
        assert!(std::time::Instant::now() < deadline, "not announced");
    }
}

#[test]
fn commands_wait_for_a_starting_daemon() {
    let stage = Stage::with(&["alice"]);
    let hash = stage.file("a.bin", 5);
    stage.file("b.bin", 6);
    // The lock that a daemon holds between taking its folder and listening for commands.
    let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(stage.path("alice/serving.lock"));
    let lock = lock.unwrap();
    // The command is stopped until the daemon has the folder: it would take a folder that it finds free.
    let begin = |arguments: &[&str]| {
        lock.lock().unwrap();
        let mut command = stage.start("alice", arguments);
        command.line_with("waiting for the daemon to start", PATIENCE);
        command.signal(SIGSTOP);
        lock.unlock().unwrap();
        command
    };
    let mut sharing = begin(&["share", "a.bin", "b.bin"]);
    let (mut daemon, _) = stage.daemon("alice");
    sharing.signal(SIGCONT);
    ended(&mut sharing).ok().says("Announced all 1 chunks");
    assert_eq!(stage.announced("alice"), 2);
    daemon.signal(SIGTERM);
    ended(&mut daemon).ok();
    let mut ending = begin(&["unshare", &hash]);
    let (_daemon, _) = stage.daemon("alice");
    ending.signal(SIGCONT);
    ended(&mut ending).ok();
    wait_until_announced(&stage, "alice", 1);
}

/// Requests `path` of a daemon's `--metrics` address, and returns the reply.
fn scrape(address: &str, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

fn send(address: &str, request: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn metrics_are_served_to_this_machine_only() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("one.bin", 3 << 20);
    stage.run("alice", &["share", "--no-serve", "one.bin"]).ok();
    for (address, why) in [("0.0.0.0:0", "loopback"), ("nowhere", "ADDR:PORT")] {
        stage.run("alice", &["daemon", "--metrics", address]).code(2).complains(why);
    }
    let mut daemon = stage.start("alice", &["daemon", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let line = daemon.line_with("metrics on http://", PATIENCE);
    let address = line.split("http://").nth(1).unwrap().trim_end_matches("/metrics").to_owned();
    wait_until_announced(&stage, "alice", 1);
    stage.run("bob", &["download", &hash]).ok();
    let text = scrape(&address, "/metrics");
    for sample in ["bytes_sent_total 3145728", "shares 1", "tracker_up 1", "streams_total 1", "complaints_total 0"] {
        assert!(text.contains(&format!("\npeernet_daemon_{sample}\n")), "no {sample} in {text}");
    }
    assert!(scrape(&address, "/else").starts_with("HTTP/1.1 404 "));
    // An allocation of the announced length would abort the daemon.
    for length in ["30000000000", "18446744073709551615"] {
        let refused = send(&address, &format!("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
        assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
        assert!(scrape(&address, "/metrics").starts_with("HTTP/1.1 200 "));
    }
    for document in
        [include_str!("../../../../docs/grafana-dashboard.json"), include_str!("../../../../docs/alerts.yml")]
    {
        let words = document.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: Vec<&str> = words.filter(|word| word.starts_with("peernet_daemon_")).collect();
        assert!(named.len() >= 2);
        for metric in named {
            assert!(text.contains(&format!("# TYPE {metric} ")), "{metric} is in docs/ and not served");
        }
    }
    daemon.signal(SIGTERM);
    ended(&mut daemon).ok();
}
