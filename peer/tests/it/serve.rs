//! Tests of a running server: its addresses, files that change, and the threads and descriptors left after a stop.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use peernet::Cancel;
use peernet::internals::UploadLimits;
use peernet::internals::{FetchError, fetch};
use peernet::internals::{Listen, PeerServer, ServeError};
use peernet_engine::cause::Cause;

use crate::swarm::{Catalogue, Library, MIB, Peer, Stage, content};

#[test]
fn a_port_in_use_or_a_bad_address_is_an_error() {
    let first = Peer::start();
    let start = |listen: &str| {
        PeerServer::start(Listen::plaintext(listen), Arc::new(Library::default()), UploadLimits::default())
    };
    let taken = start(&first.server.local_addr().to_string());
    assert!(matches!(&taken, Err(error @ ServeError::Bind { .. }) if error.to_string().contains("in use")));
    for bad in ["", "nonsense", "unix:/tmp/socket", "127.0.0.1"] {
        assert!(matches!(start(bad), Err(ServeError::Address(_))), "{bad}");
    }
}

#[test]
fn a_changed_file_is_refused_and_withdrawn() {
    let stage = Stage::with(3 * MIB);
    let peer = stage.peer();
    fs::write(&stage.original, content(3 * MIB, 1234)).unwrap();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    let mut job = stage.job();
    // Long enough for a busy machine to reach the source and have it read the file.
    job.limits.scheduler.no_progress = Duration::from_secs(5);
    let result = fetch(job, &directory, &mut |_| {}, &Cancel::new());
    assert!(matches!(result, Err(FetchError::GaveUp(_))), "{result:?}");
    assert!(peer.library.spoiled.load(Ordering::Relaxed) > 0);
    let wrong = directory.reported().into_iter().filter(|report| report.result == Err(Cause::BadHash)).count();
    assert_eq!(wrong, 0, "no changed byte may be sent");
}

#[test]
fn a_stopped_server_starts_again_on_its_port() {
    let stage = Stage::with(2 * MIB);
    let peer = stage.peer();
    let address = peer.server.local_addr().to_string();
    peer.server.stop(Duration::from_secs(5));
    let again = PeerServer::start(Listen::plaintext(&address), peer.library, UploadLimits::default()).unwrap();
    assert_eq!(again.local_addr().to_string(), address);
}

/// Returns the names of our threads in this process, and the number of its descriptors.
fn leftovers() -> (Vec<String>, usize) {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let ours = names
        .map(|name| name.trim().to_owned())
        .filter(|name| ["serve-", "fetch-", "hash-"].iter().any(|ours| name.starts_with(ours)));
    (ours.collect(), fs::read_dir("/proc/self/fd").unwrap().count())
}

/// Runs in a process of its own, which has no threads of other tests.
#[test]
fn nothing_is_left_after_stop() {
    const CHILD: &str = "PEERNET_TEST_LEFTOVERS";
    if std::env::var_os(CHILD).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let status = child.args(["--exact", "serve::nothing_is_left_after_stop"]).env(CHILD, "1").status().unwrap();
        return assert!(status.success());
    }
    let mut descriptors = 0;
    for round in 0..4 {
        {
            let stage = Stage::with(9 * MIB);
            let peers = [stage.peer(), stage.peer(), stage.liar()];
            let directory = Catalogue::of(&stage.manifest, peers.iter().map(Peer::source).collect());
            stage.fetch_some(&directory, |progress| progress.chunks_done >= 2);
            let fetched = stage.fetch(&directory).unwrap();
            stage.assert_complete(&fetched);
            for peer in peers {
                peer.server.stop(Duration::from_secs(1));
            }
        }
        let (threads, open) = leftovers();
        assert_eq!(threads, Vec::<String>::new(), "round {round}");
        // The first round opens descriptors that gRPC keeps; closing connections may lag a little behind.
        if round == 0 {
            descriptors = open;
        }
        assert!(open <= descriptors + 6, "round {round}: {open} descriptors, {descriptors} after the first");
    }
}
