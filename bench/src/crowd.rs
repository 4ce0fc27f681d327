//! Thousands of connections that do nothing, and hundreds that send a byte a second, and their cost to the others.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use peernet_testkit::v1::V1Tracker;
use serde_json::json;

use crate::report::Report;
use crate::tracker::{Load, must_have_wrk};
use crate::{Options, measure, parts};

const IDLE: usize = 5_000;
const SLOW: usize = 500;
const CONNECTIONS: usize = 64;

/// The scenario `crowd`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    must_have_wrk()?;
    peernet_testkit::process::raise_open_files();
    let folder = tempfile::tempdir()?;
    let flags = ["--connections-max", "8192", "--idle-seconds", "3600"];
    let tracker = parts::Tracker::start_with_flags(folder.path(), &flags)?;
    let address: SocketAddr = tracker.url.trim_start_matches("http://").parse().map_err(io::Error::other)?;
    let mut peer = V1Tracker::new(&tracker.url);
    peer.register("10.0.0.1:5000", "bench-password").map_err(|answer| io::Error::other(format!("{answer:?}")))?;
    let token = peer.token().unwrap_or_default().to_owned();
    let mut report = Report::start("crowd", &options.note)?;
    let pid = tracker.process.id();
    let url = format!("{}/api/v1/peers/me", tracker.url);
    let health = format!("{}/health", tracker.url);
    for round in 0..options.rounds {
        let load = Load { connections: CONNECTIONS, seconds: options.seconds, token: &token };
        for (what, url) in [("health", &health), ("me (database)", &url)] {
            report.add(&format!("{what}, alone"), round, load.run(url, None)?)?;
        }
        let idle = idle(address)?;
        let (stop, stopped) = mpsc::channel::<()>();
        std::thread::scope(|scope| -> io::Result<()> {
            let slow = scope.spawn(move || slow(address, &stopped));
            for (what, url) in [("health", &health), ("me (database)", &url)] {
                let mut record = load.run(url, None)?;
                record["tracker_rss_mib"] = json!(measure::peak_rss_kib(pid)? as f64 / 1024.0);
                record["threads"] = json!(threads(pid));
                report.add(&format!("{what}, beside {IDLE} idle and {SLOW} slow"), round, record)?;
            }
            drop(stop);
            slow.join().map_err(|_| io::Error::other("the slow clients panicked"))?
        })?;
        drop(idle);
    }
    report.summary(&["requests_per_s", "p50_ms", "p99_ms", "errors", "threads", "tracker_rss_mib"]);
    Ok(())
}

/// Connections that sent one request and stay open.
fn idle(address: SocketAddr) -> io::Result<Vec<TcpStream>> {
    (0..IDLE)
        .map(|_| {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n")?;
            let mut answer = [0; 512];
            let _some = stream.read(&mut answer)?;
            Ok(stream)
        })
        .collect()
}

/// Connections that send a byte of a request each second, and connect again when they are cut.
fn slow(address: SocketAddr, stop: &mpsc::Receiver<()>) -> io::Result<()> {
    let connect = || TcpStream::connect(address);
    let mut streams = (0..SLOW).map(|_| connect()).collect::<io::Result<Vec<_>>>()?;
    while stop.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
        for stream in &mut streams {
            if stream.write_all(b"G").is_err() {
                *stream = connect()?;
            }
        }
    }
    Ok(())
}

fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}
