//! The daemon's side of the control socket.
//!
//! The thread `control-accept` accepts connections and hands them to a pool of workers. A worker reads the request,
//! runs the answer function and writes the reply.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use peernet_threads::{Group, Pool};

use super::message::{Envelope, Line, Problem, REQUEST_BYTES_MAX, Request, VERSION};
use crate::cancel::Cancel;
use crate::node::NodeError;

/// The number of requests that are handled at once.
const WORKERS: usize = 4;
/// The most connections that wait for a worker.
const QUEUE_MAX: usize = 16;
/// The limit on the time to read a request, or to write a line of the reply.
const IO_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval between progress reports of hashing.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The limit on the time that the threads take to end.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Handles a request and returns the last line of the reply. The second argument takes progress, and the third is
/// cancelled when the caller has hung up.
pub(crate) type Handler = dyn Fn(Request, &mut dyn FnMut(u64, u64), &Cancel) -> Line + Send + Sync;

/// A listening control socket. Stopping it removes its file.
pub(crate) struct ControlServer {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    cancel: Cancel,
    group: Group,
}

impl ControlServer {
    /// Listens at `path`. The caller holds the folder's lock, so an existing socket file belongs to a dead daemon.
    pub(crate) fn start(path: &Path, answer: Arc<Handler>) -> Result<Self, NodeError> {
        let failed = || NodeError::local("listening on", path);
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed()(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed())?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed())?;
        let stopping = Arc::new(AtomicBool::new(false));
        let cancel = Cancel::new();
        let on_each = cancel.clone();
        let pool = Pool::new("control", WORKERS, QUEUE_MAX, move || {
            let answer = Arc::clone(&answer);
            let cancel = on_each.clone();
            move |stream: UnixStream| serve(&stream, answer.as_ref(), &cancel)
        })
        .map_err(failed())?;
        let mut group = Group::default();
        let flag = Arc::clone(&stopping);
        let stop = cancel.clone();
        group.spawn("control-accept", move || accept(&listener, pool, &flag, &stop)).map_err(failed())?;
        Ok(Self { path: path.to_owned(), stopping, cancel, group })
    }

    /// Cancels running requests and ends the threads.
    pub(crate) fn stop(self) {
        self.cancel.cancel();
        self.stopping.store(true, Ordering::Release);
        // The connection wakes the accept loop. Where it fails, as after the file was removed, the loop cannot be
        // woken, and waiting for it would take until the timeout.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _gone = fs::remove_file(&self.path);
        if woken {
            let _stragglers = self.group.join(JOIN_TIMEOUT);
        }
    }
}

fn accept(listener: &UnixListener, pool: Pool<UnixStream>, stopping: &AtomicBool, stop: &Cancel) {
    for stream in listener.incoming() {
        if stopping.load(Ordering::Acquire) {
            break;
        }
        let Ok(stream) = stream else {
            // The process may be out of descriptors. An attempt at once would fail in the same way and burn CPU.
            let _stopped_meanwhile = stop.channel().recv_timeout(ACCEPT_PAUSE);
            continue;
        };
        if let Err(peernet_threads::Full(stream)) = pool.try_submit(stream) {
            send(&stream, &Line::Problem(problem(8, "the daemon is busy with other commands; try again in a moment")));
        }
    }
    let _stragglers = pool.stop(JOIN_TIMEOUT);
}

fn serve(stream: &UnixStream, answer: &Handler, stop: &Cancel) {
    let timeouts = stream.set_read_timeout(Some(IO_TIMEOUT)).and_then(|()| stream.set_write_timeout(Some(IO_TIMEOUT)));
    if timeouts.is_err() {
        return;
    }
    let line = match request(stream) {
        Ok(request) => {
            let gone = Cancel::new();
            let mut due = Instant::now();
            let mut progress = |done: u64, total: u64| {
                let now = Instant::now();
                if now >= due {
                    due = now + PROGRESS_EVERY;
                    if stop.is_cancelled() || !send(stream, &Line::Hashing(done, total)) {
                        gone.cancel();
                    }
                }
            };
            answer(request, &mut progress, &gone)
        }
        Err(problem) => Line::Problem(problem),
    };
    send(stream, &line);
}

fn request(stream: &UnixStream) -> Result<Request, Problem> {
    let mut bytes = Vec::new();
    let read = BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_until(b'\n', &mut bytes);
    if read.is_err() || bytes.last() != Some(&b'\n') {
        return Err(problem(2, "the request is too long or did not arrive in time"));
    }
    // Look at the version first: another version may have other requests.
    let version = serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|value| value["version"].as_u64());
    match (version, serde_json::from_slice::<Envelope>(&bytes)) {
        (Some(version), _) if version != u64::from(VERSION) => Err(problem(
            2,
            "the daemon is of another version than this program: stop it, and start the one of this version",
        )),
        (_, Ok(envelope)) => Ok(envelope.request),
        (_, Err(_)) => Err(problem(2, "the request is not understood")),
    }
}

fn problem(exit_code: u8, message: &str) -> Problem {
    Problem { exit_code, message: message.to_owned() }
}

/// Sends a line; false if the caller has hung up.
fn send(mut stream: &UnixStream, line: &Line) -> bool {
    let mut bytes = serde_json::to_vec(line).expect("strings and numbers only");
    bytes.push(b'\n');
    stream.write_all(&bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::control::{ControlClient, Last};

    fn started(folder: &tempfile::TempDir) -> ControlServer {
        let answer: Arc<Handler> = Arc::new(|request, progress, _| {
            progress(1, 2);
            match request {
                Request::Unshare { .. } => Line::Done(Last::Unshared),
                _ => Line::Problem(problem(4, "no")),
            }
        });
        ControlServer::start(&folder.path().join("s"), answer).unwrap()
    }

    #[test]
    fn a_request_gets_its_progress_and_its_result() {
        let folder = tempfile::tempdir().unwrap();
        let server = started(&folder);
        assert_eq!(fs::metadata(folder.path().join("s")).unwrap().permissions().mode() & 0o777, 0o600);
        let ask = |request| {
            let mut seen = Vec::new();
            let client = ControlClient::connect(&folder.path().join("s")).unwrap();
            (client.ask(request, &mut |line| seen.push(line)), seen)
        };
        let unshare = Request::Unshare { file_hash: String::new() };
        assert_eq!(ask(unshare), (Ok(Last::Unshared), vec![Line::Hashing(1, 2)]));
        assert_eq!(ask(Request::Status).0.unwrap_err().exit_code, 4);
        server.stop();
        assert!(ControlClient::connect(&folder.path().join("s")).is_none());
    }

    #[test]
    fn malformed_requests_and_other_versions_are_explained() {
        let folder = tempfile::tempdir().unwrap();
        let server = started(&folder);
        let long = "x".repeat(REQUEST_BYTES_MAX as usize + 10);
        for (text, part) in [
            ("hello\n", "not understood"),
            ("{\"version\":2,\"do\":\"fly\"}\n", "another version"),
            ("{\"version\":1,\"do\":\"fly\"}\n", "not understood"),
            (long.as_str(), "too long"),
        ] {
            let mut stream = UnixStream::connect(folder.path().join("s")).unwrap();
            let _refused_early = stream.write_all(text.as_bytes());
            let mut answer = String::new();
            let _reset = BufReader::new(&stream).read_line(&mut answer);
            assert!(answer.contains(part), "{answer:?}");
        }
        server.stop();
    }

    #[test]
    fn the_socket_of_a_dead_daemon_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(folder.path().join("s")).unwrap());
        started(&folder).stop();
    }
}
