//! A real program under test: its output is read line by line, it is waited for with a deadline, and it never outlives
//! its test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Lines kept unread before the program's pipe fills up and it waits.
const LINES_MAX: usize = 4_096;
/// The interval between two looks for an exit; std has no waitable event for a child with a timeout.
const LOOK: Duration = Duration::from_millis(5);

/// The pipe from which a line came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A running program. Dropping it kills it.
pub struct Process {
    child: Child,
    lines: Receiver<(Stream, String)>,
    seen: Vec<(Stream, String)>,
}

impl Process {
    /// Starts `command` with both outputs captured and no input.
    pub fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (sender, lines) = sync_channel(LINES_MAX);
        let out = child.stdout.take().expect("captured above");
        let err = child.stderr.take().expect("captured above");
        pump(out, Stream::Out, sender.clone())?;
        pump(err, Stream::Err, sender)?;
        Ok(Self { child, lines, seen: Vec::new() })
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains `part`, on either stream, and returns it. Panics with all output after `timeout`.
    pub fn line_with(&mut self, part: &str, timeout: Duration) -> String {
        let deadline = Instant::now() + timeout;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((stream, line)) => {
                    self.seen.push((stream, line.clone()));
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no line with {part:?} within {timeout:?}:\n{}", self.transcript())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended without a line with {part:?}:\n{}", self.transcript())
                }
            }
        }
    }

    /// Sends a signal, by number (15 for SIGTERM, 2 for SIGINT, 9 for SIGKILL).
    pub fn signal(&self, number: i32) {
        send_signal(self.child.id(), number);
    }

    /// kill -9, and waits until it is gone.
    pub fn kill9(mut self) {
        let _already_dead = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the exit, at most `timeout`; panics with all output when it does not come.
    pub fn exit_within(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                self.drain();
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {timeout:?}:\n{}", self.transcript());
            // Reading while waiting keeps the pipes from filling up.
            if let Ok(line) = self.lines.recv_timeout(LOOK) {
                self.seen.push(line);
            }
        }
    }

    /// Returns all output so far, for messages and assertions.
    pub fn transcript(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().map(|(stream, line)| format!("{stream:?}: {line}\n")).collect()
    }

    fn drain(&mut self) {
        // Both pumps end with their pipes, which ends the channel.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(2)) {
            self.seen.push(line);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_dead = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pump(pipe: impl Read + Send + 'static, stream: Stream, lines: SyncSender<(Stream, String)>) -> std::io::Result<()> {
    std::thread::Builder::new().name("test-pump".to_owned()).spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if lines.send((stream, String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

#[allow(unsafe_code)]
fn send_signal(pid: u32, number: i32) {
    // SAFETY: kill takes two integers and touches no memory of ours; the pid is our own unreaped child's.
    let _gone = unsafe { libc::kill(libc::pid_t::try_from(pid).expect("pids fit"), number) };
}

/// Raises this process's own limit on open files as far as it may go and returns it: a test with a thousand connections
/// has both ends of each.
#[allow(unsafe_code)]
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to a whole rlimit of ours, which they read or fill and do not keep.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0, "the limit can be read");
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit),
            0,
            "the soft limit may be raised to the hard one"
        );
    }
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_exit_are_seen() {
        let mut shell = Process::start(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"])).unwrap();
        assert_eq!(shell.line_with("two", Duration::from_secs(30)), "two");
        assert_eq!(shell.exit_within(Duration::from_secs(30)).code(), Some(3));
        assert!(shell.transcript().contains("Out: one"));
    }

    #[test]
    fn a_signal_reaches_it() {
        let mut shell =
            Process::start(Command::new("sh").args(["-c", "echo up; exec cat /dev/zero >/dev/null"])).unwrap();
        shell.line_with("up", Duration::from_secs(30));
        shell.signal(15);
        assert_eq!(shell.exit_within(Duration::from_secs(30)).code(), None);
    }
}
