//! HTTP exchanges with a tracker: time-outs, bounded replies, and retries with a growing pause.
//!
//! A call goes to the tracker that replied last, out of several trackers of one swarm. When it fails, the next one is
//! called, without a pause until all have been tried.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, after};
use peernet_protos::rest::ErrorBody;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Body;
use ureq::http::{Request, Response};

use super::base::{Base, Roots, TrackerProof};
use super::trust::Trust;
use super::{SMALL_ANSWER, TrackerError, TrackerOptions};
use crate::cancel::Cancel;
use crate::identity::Bundle;

/// The longest time of one exchange, unless the call sets another.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The most attempts of one call.
const ATTEMPTS_MAX: u32 = 4;
/// The pause after the first failure; it doubles with each.
const PAUSE_START: Duration = Duration::from_millis(250);
/// The longest pause. When the tracker asks for a longer one, the call fails and the caller may repeat it later.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The longest error message that is shown.
const MESSAGE_CHARS_MAX: usize = 500;

/// One call.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    pub(super) body: Option<Vec<u8>>,
    pub(super) token: Option<String>,
    /// A second call does no harm. Such a call is retried also where the first may have arrived.
    pub(super) repeatable: bool,
    pub(super) timeout: Duration,
    /// The longest reply that is read, in bytes.
    pub(super) answer_max: u64,
    /// `If-None-Match`: the ETag of a reply that the caller has already.
    pub(super) known: Option<String>,
    /// The window in which attempts begin. Such a call is not interrupted when the node stops, because this node has to
    /// know what it changes at the tracker.
    pub(super) window: Option<Duration>,
}

/// The reply.
pub(super) struct HttpReply {
    /// The status: 2xx or 304.
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    body: Vec<u8>,
}

impl HttpReply {
    /// Makes a reply for tests.
    #[cfg(test)]
    pub(super) fn new(status: u16, etag: Option<String>, body: Vec<u8>) -> Self {
        Self { status, etag, body }
    }

    /// Parses the body.
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
            window: None,
        }
    }

    pub(super) fn delete(path: &'a str) -> Self {
        Self { method: "DELETE", ..Self::get(path) }
    }

    pub(super) fn post(path: &'a str, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("wire types have string keys and finite numbers");
        Self { method: "POST", body: Some(body), repeatable: false, ..Self::get(path) }
    }

    pub(super) fn put(path: &'a str, body: &impl Serialize) -> Self {
        Self { method: "PUT", repeatable: true, ..Self::post(path, body) }
    }

    /// Limits each attempt to `timeout`. All attempts begin within `window`, in which a second call does no harm.
    pub(super) fn repeatable_within(self, timeout: Duration, window: Duration) -> Self {
        Self { repeatable: true, timeout, window: Some(window), ..self }
    }
}

/// A failed attempt, by whether another one may help.
enum Failure {
    /// The request did not reach the tracker.
    NotSent(String),
    /// The request may have reached the tracker.
    Lost(String),
    /// The tracker asks to try later.
    Later { why: String, after: Option<Duration> },
    /// Another attempt is no use.
    Final(TrackerError),
}

/// Connection pools to the trackers of one swarm.
pub(super) struct Http {
    bases: Vec<Base>,
    /// The tracker that is called: the one that replied last.
    current: AtomicUsize,
    options: TrackerOptions,
    trust: Option<Trust>,
    stop: Cancel,
}

impl Http {
    /// Makes pools for checked URLs without a slash at their end; at least one.
    pub(super) fn new(bases: &[String], options: &TrackerOptions, stop: Cancel) -> Self {
        let bases = bases.iter().map(|url| Base::new(url, options)).collect();
        Self { bases, current: AtomicUsize::new(0), options: options.clone(), trust: None, stop }
    }

    /// Returns the trackers that prove their role, with new connections that trust no authority yet.
    pub(super) fn twin(&self) -> Self {
        let by_role = self.bases.iter().filter(|base| base.proof() == TrackerProof::Role);
        let urls: Vec<String> = by_role.map(|base| base.url().to_owned()).collect();
        Self::new(&urls, &self.options, self.stop.clone())
    }

    /// Loads the pinned authorities, where trackers have to prove their role.
    pub(super) fn trusting(mut self, load: impl FnOnce() -> Result<Trust, TrackerError>) -> Result<Self, TrackerError> {
        if self.ways().contains(&TrackerProof::Role) {
            self.trust = Some(load()?);
            self.trust_pinned();
        }
        Ok(self)
    }

    /// The transport of each tracker.
    pub(super) fn ways(&self) -> Vec<TrackerProof> {
        self.bases.iter().map(Base::proof).collect()
    }

    /// Returns true if the node is stopping.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(super) fn first_url(&self) -> &str {
        self.bases.first().map_or("", Base::url)
    }

    /// Accepts certificates of these authorities only from now on.
    pub(super) fn trust(&self, roots: &Roots<'_>) {
        self.bases.iter().for_each(|base| base.trust(roots));
    }

    pub(super) fn pinned(&self) -> Option<Bundle> {
        self.trust.as_ref().and_then(Trust::pinned)
    }

    /// Accepts the pinned authorities only.
    pub(super) fn trust_pinned(&self) {
        if let Some(pinned) = self.pinned() {
            self.trust(&Roots::Of(&pinned));
        }
    }

    /// Pins the authorities that a proven tracker names. Has no effect where trackers do not prove their role.
    pub(super) fn pin(&self, authorities: &Bundle) -> Result<(), TrackerError> {
        let Some(trust) = &self.trust else { return Ok(()) };
        if trust.pinned().as_ref() != Some(authorities) {
            trust.pin(authorities)?;
            self.trust_pinned();
        }
        Ok(())
    }

    /// Pins the authorities that came with a reply. Has no effect where a tracker is called in plaintext: its reply
    /// proves nothing.
    pub(super) fn learn(&self, authorities: &Bundle) -> Result<(), TrackerError> {
        if self.ways().contains(&TrackerProof::Plaintext) { Ok(()) } else { self.pin(authorities) }
    }

    /// Returns true if another process has pinned other authorities meanwhile. They are accepted from now on.
    fn has_other_pins(&self) -> bool {
        let found = self.trust.as_ref().and_then(|trust| trust.reload().ok().flatten());
        if let Some(found) = &found {
            self.trust(&Roots::Of(found));
        }
        found.is_some()
    }

    /// Makes a call until there is a reply, or another attempt is no use. Parses the body.
    pub(super) fn json<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, TrackerError> {
        self.answer(call)?.parse()
    }

    /// Makes a call until there is a reply, or another attempt is no use.
    pub(super) fn answer(&self, call: &Call<'_>) -> Result<HttpReply, TrackerError> {
        let trackers = u32::try_from(self.bases.len()).unwrap_or(1);
        // One tracker that may not be called refuses the whole list; otherwise the user would not notice.
        self.bases.iter().try_for_each(|base| base.agent().map(drop))?;
        let mut pause = PAUSE_START;
        let begun = Instant::now();
        let in_time = |wait: Duration| call.window.is_none_or(|window| begun.elapsed() + wait < window);
        for attempt in 1.. {
            let at = self.current.load(Ordering::Relaxed);
            let failure = match self.once(&self.bases[at], call) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(TrackerError::Impostor { .. })) if self.has_other_pins() => continue,
                Err(failure) => failure,
            };
            if !matches!(failure, Failure::Final(_)) {
                let next = (at + 1) % self.bases.len();
                let _another_went_on = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
            }
            let (error, wait) = self.judge(self.bases[at].url(), failure, call.repeatable, pause);
            match wait {
                // The next tracker may reply at once, so there is no pause.
                Some(_) if attempt % trackers != 0 && in_time(Duration::ZERO) => continue,
                Some(wait) if attempt < ATTEMPTS_MAX * trackers && in_time(wait) => self.pause(wait, call)?,
                _ => return Err(error),
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        unreachable!("the last attempt returns")
    }

    /// Returns the error of a failed attempt, and the pause before another; `None` when another is no use.
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

    fn pause(&self, wait: Duration, call: &Call<'_>) -> Result<(), TrackerError> {
        if call.window.is_some() {
            let _time_has_come = after(wait).recv();
            return Ok(());
        }
        match self.stop.channel().recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(TrackerError::Cancelled),
        }
    }

    fn once(&self, base: &Base, call: &Call<'_>) -> Result<HttpReply, Failure> {
        if self.stop.is_cancelled() && call.repeatable && call.window.is_none() {
            return Err(Failure::Final(TrackerError::Cancelled));
        }
        let failed = |error: ureq::Error| self.impostor(base, &error).unwrap_or_else(|| failure_of(error));
        let mut response = send(base, call)?.map_err(failed)?;
        let status = response.status().as_u16();
        let later = retry_after(&response);
        let etag = header(&response, "etag").map(str::to_owned);
        let bytes = response.body_mut().with_config().limit(call.answer_max).read_to_vec().map_err(failure_of)?;
        match status {
            200..=299 => Ok(HttpReply { status, etag, body: bytes }),
            304 if call.known.is_some() => Ok(HttpReply { status, etag, body: bytes }),
            429 | 502..=504 => Err(Failure::Later { why: message_of(status, &bytes).1, after: later }),
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

    /// Returns the error of a refused certificate, if that is the failure.
    fn impostor(&self, base: &Base, error: &ureq::Error) -> Option<Failure> {
        let why = match tls_error(error)? {
            rustls::Error::InvalidCertificate(why) => why.to_string(),
            rustls::Error::InvalidMessage(_) => {
                let text = "it does not speak TLS: is the URL http:// perhaps?".to_owned();
                return Some(Failure::Final(TrackerError::Malformed(text)));
            }
            _ => return None,
        };
        let pinned = self.pinned().map_or_else(Vec::new, |pinned| pinned.fingerprints());
        let pinned = pinned.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Some(Failure::Final(TrackerError::Impostor { url: base.url().to_owned(), why, pinned }))
    }
}

fn send(base: &Base, call: &Call<'_>) -> Result<Result<Response<Body>, ureq::Error>, Failure> {
    let agent = base.agent().map_err(Failure::Final)?;
    let uri = base.uri(call.path);
    let mut request = Request::builder().method(call.method).uri(uri).header("accept", "application/json");
    if let Some(token) = &call.token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if let Some(known) = &call.known {
        request = request.header("if-none-match", known);
    }
    Ok(match &call.body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(body.as_slice())
            .map_err(ureq::Error::from)
            .and_then(|it| agent.run(agent.configure_request(it).timeout_global(Some(call.timeout)).build())),
        None => request
            .body(())
            .map_err(ureq::Error::from)
            .and_then(|it| agent.run(agent.configure_request(it).timeout_global(Some(call.timeout)).build())),
    })
}

/// The TLS error in a failed exchange.
fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TrackerError> {
    // serde's message may quote the reply, so only its position is used.
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

#[cfg(test)]
mod tests;
