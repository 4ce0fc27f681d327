//! The command line's side of the control socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::message::{ANSWER_BYTES_MAX, Envelope, Last, Line, Problem, Request, VERSION};

/// The longest wait for the next line of a reply. Hashing reports its progress; an announce may take a minute.
const LINE_TIMEOUT: Duration = Duration::from_secs(90);

/// A connection to a daemon, for one request.
pub(crate) struct ControlClient {
    stream: UnixStream,
}

impl ControlClient {
    /// Connects to the daemon; `None` if none listens there.
    pub(crate) fn connect(socket: &Path) -> Option<Self> {
        let stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(LINE_TIMEOUT)).ok()?;
        stream.set_write_timeout(Some(LINE_TIMEOUT)).ok()?;
        Some(Self { stream })
    }

    /// Returns a handle that can end the call from another thread: the daemon notices and stops hashing.
    pub(crate) fn hang_up_handle(&self) -> std::io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Sends the request and waits for the last line of the reply. Calls `each` for every line before it.
    pub(crate) fn ask(mut self, request: Request, each: &mut dyn FnMut(Line)) -> Result<Last, Problem> {
        let lost = |error: std::io::Error| failed(format!("the daemon does not answer: {error}"));
        let mut line = serde_json::to_vec(&Envelope { version: VERSION, request }).expect("strings only");
        line.push(b'\n');
        self.stream.write_all(&line).map_err(lost)?;
        let mut lines = BufReader::new(&self.stream);
        loop {
            let mut bytes = Vec::new();
            (&mut lines).take(ANSWER_BYTES_MAX).read_until(b'\n', &mut bytes).map_err(lost)?;
            if bytes.is_empty() {
                return Err(failed("the daemon closed the connection; is it stopping?".to_owned()));
            }
            match serde_json::from_slice(&bytes) {
                Ok(Line::Done(last)) => return Ok(last),
                Ok(Line::Problem(problem)) => return Err(problem),
                Ok(line) => each(line),
                Err(error) => {
                    return Err(failed(format!(
                        "the daemon's reply is not understood ({error}); is it of another version? Restart it"
                    )));
                }
            }
        }
    }
}

fn failed(message: String) -> Problem {
    Problem { exit_code: 1, message }
}
