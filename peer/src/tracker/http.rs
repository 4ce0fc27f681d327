//! One HTTP exchange after another with a tracker: time-outs, bounded answers, and retries with a growing pause.
//!
//! Where a swarm has several trackers, the one that answered last is asked; when it does not, the next one is, without a pause until
//! all have been tried.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use peernet_protos::rest::ErrorBody;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use super::{SMALL_ANSWER, TrackerError};
use crate::cancel::Cancel;

/// How long finding and connecting to the tracker may take, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one exchange may take, unless the call says otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Under the door's 30 s, so that a connection is not used in the moment it is closed.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// How often a call is tried at most.
const ATTEMPTS_MAX: u32 = 4;
/// The pause after the first failure; it doubles with each.
const PAUSE_START: Duration = Duration::from_millis(250);
/// The longest pause, also when the tracker asks for more: then the caller is told to come again.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// No message of an error is shown longer.
const MESSAGE_CHARS_MAX: usize = 500;

/// What to ask.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    pub(super) body: Option<Vec<u8>>,
    pub(super) token: Option<String>,
    /// Asking twice does no harm: retried also where the first request may have arrived.
    pub(super) repeatable: bool,
    pub(super) timeout: Duration,
    /// Bytes of the longest answer that makes sense.
    pub(super) answer_max: u64,
    /// `If-None-Match`: an answer the caller has already.
    pub(super) known: Option<String>,
}

/// What came back.
pub(super) struct Answer {
    /// Of class 2, or 304.
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// As a test's tracker gives it.
    #[cfg(test)]
    pub(super) fn new(status: u16, etag: Option<String>, body: Vec<u8>) -> Self {
        Self { status, etag, body }
    }

    /// The body.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, TrackerError> {
        parse(&self.body)
    }
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            body: None,
            token: None,
            repeatable: true,
            timeout: CALL_TIMEOUT,
            answer_max: SMALL_ANSWER,
            known: None,
        }
    }

    pub(super) fn post(path: &'a str, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("wire types have string keys and finite numbers");
        Self { method: "POST", body: Some(body), repeatable: false, ..Self::get(path) }
    }

    pub(super) fn put(path: &'a str, body: &impl Serialize) -> Self {
        Self { method: "PUT", repeatable: true, ..Self::post(path, body) }
    }
}

/// How one attempt failed, by whether another may help.
enum Failure {
    /// The request did not reach the tracker.
    NotSent(String),
    /// It may have.
    Lost(String),
    /// The tracker says: later.
    Later { why: String, after: Option<Duration> },
    /// Final.
    Final(TrackerError),
}

/// A connection pool to the trackers of one swarm.
pub(super) struct Http {
    agent: Agent,
    bases: Vec<String>,
    /// The one that is asked: the last that answered.
    current: AtomicUsize,
    stop: Cancel,
}

impl Http {
    /// `bases` are checked URLs without a slash at their end, at least one.
    pub(super) fn new(bases: Vec<String>, stop: Cancel) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("peernet/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(CALL_TIMEOUT))
            .max_idle_age(IDLE_MAX);
        // A proxy of the environment is for the world outside this machine.
        let config = if bases.iter().all(|base| is_loopback(base)) { config.proxy(None) } else { config };
        Self { agent: config.build().new_agent(), bases, current: AtomicUsize::new(0), stop }
    }

    /// Asks until there is an answer, or trying again is no use.
    pub(super) fn json<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, TrackerError> {
        self.answer(call)?.parse()
    }

    /// The same for callers who look at more than the body.
    pub(super) fn answer(&self, call: &Call<'_>) -> Result<Answer, TrackerError> {
        let trackers = u32::try_from(self.bases.len()).unwrap_or(1);
        let mut pause = PAUSE_START;
        for attempt in 1.. {
            let at = self.current.load(Ordering::Relaxed);
            let failure = match self.once(&self.bases[at], call) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !matches!(failure, Failure::Final(_)) {
                let next = (at + 1) % self.bases.len();
                let _another_went_on = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
            }
            let (error, wait) = self.judge(&self.bases[at], failure, call.repeatable, pause);
            match wait {
                // The next tracker may answer at once.
                Some(_) if attempt % trackers != 0 => continue,
                Some(wait) if attempt < ATTEMPTS_MAX * trackers => self.pause(wait)?,
                _ => return Err(error),
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        unreachable!("the last attempt returns")
    }

    /// What the failure means, and how long to wait before another attempt; `None` for never.
    fn judge(
        &self,
        base: &str,
        failure: Failure,
        repeatable: bool,
        pause: Duration,
    ) -> (TrackerError, Option<Duration>) {
        let url = base.to_owned();
        match failure {
            Failure::NotSent(why) => (TrackerError::Unreachable { url, why }, Some(pause)),
            Failure::Lost(why) => (TrackerError::Unreachable { url, why }, repeatable.then_some(pause)),
            Failure::Later { why, after } => {
                let wait = after.unwrap_or(pause).max(pause);
                (TrackerError::Busy { url, why }, (wait <= PAUSE_MAX).then_some(wait))
            }
            Failure::Final(error) => (error, None),
        }
    }

    fn pause(&self, wait: Duration) -> Result<(), TrackerError> {
        match self.stop.channel().recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(TrackerError::Cancelled),
        }
    }

    fn once(&self, base: &str, call: &Call<'_>) -> Result<Answer, Failure> {
        if self.stop.is_cancelled() && call.repeatable {
            return Err(Failure::Final(TrackerError::Cancelled));
        }
        let mut response = self.send(base, call).map_err(failure_of)?;
        let status = response.status().as_u16();
        let after = retry_after(&response);
        let etag = header(&response, "etag").map(str::to_owned);
        let bytes = response.body_mut().with_config().limit(call.answer_max).read_to_vec().map_err(failure_of)?;
        match status {
            200..=299 => Ok(Answer { status, etag, body: bytes }),
            304 if call.known.is_some() => Ok(Answer { status, etag, body: bytes }),
            429 | 502..=504 => Err(Failure::Later { why: message_of(status, &bytes).1, after }),
            300..=399 => Err(Failure::Final(TrackerError::Malformed(format!(
                "it redirects to {}",
                header(&response, "location").unwrap_or("somewhere else")
            )))),
            _ => {
                let (code, message) = message_of(status, &bytes);
                Err(Failure::Final(TrackerError::Answered { status, code, message }))
            }
        }
    }

    fn send(&self, base: &str, call: &Call<'_>) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{base}{}", call.path))
            .header("accept", "application/json");
        if let Some(token) = &call.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(known) = &call.known {
            request = request.header("if-none-match", known);
        }
        match &call.body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.as_slice())?;
                let request = self.agent.configure_request(request).timeout_global(Some(call.timeout)).build();
                self.agent.run(request)
            }
            None => {
                let request =
                    self.agent.configure_request(request.body(())?).timeout_global(Some(call.timeout)).build();
                self.agent.run(request)
            }
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TrackerError> {
    // serde's message may quote the answer; its place is enough.
    serde_json::from_slice(bytes)
        .map_err(|e| TrackerError::Malformed(format!("unexpected JSON at line {} column {}", e.line(), e.column())))
}

fn failure_of(error: ureq::Error) -> Failure {
    use std::io::ErrorKind;
    let why = error.to_string();
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => Failure::NotSent(why),
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => Failure::NotSent(why),
        ureq::Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
            Failure::NotSent("connection refused".to_owned())
        }
        ureq::Error::Io(_) | ureq::Error::Timeout(_) => Failure::Lost(why),
        ureq::Error::BodyExceedsLimit(_) => Failure::Final(TrackerError::Malformed("it is too long".to_owned())),
        ureq::Error::Protocol(_) => Failure::Final(TrackerError::Malformed(format!("not HTTP: {why}"))),
        _ => Failure::Final(TrackerError::Malformed(why)),
    }
}

fn message_of(status: u16, bytes: &[u8]) -> (String, String) {
    match serde_json::from_slice::<ErrorBody>(bytes) {
        Ok(body) => (body.code, body.error.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect()),
        Err(_) => (String::new(), format!("status {status}")),
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    header(response, "retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name))
}

#[cfg(test)]
mod tests;
