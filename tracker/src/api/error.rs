//! The error of the REST API: a status, a stable word for programs, and a sentence for people. The errors of the domain
//! are translated here and nowhere else.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use peernet_protos::rest::ErrorBody;

use crate::domain::access::AccessError;
use crate::domain::accounts::AccountsError;
use crate::domain::accounts::passwords::PasswordError;
use crate::domain::address::AddressError;
use crate::domain::limits::RateLimited;
use crate::domain::swarm::Full;
use crate::ops::log::{self, PerSecond};
use crate::store::StoreError;
use crate::store::policies::Refusal;
use peernet_door::{Reply, RequestId};

/// The default `Retry-After` in seconds.
const RETRY_AFTER_S: u32 = 1;

/// An answer other than success, rendered as `{"error": message, "code": code}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status code, 4xx or 5xx.
    pub status: u16,
    /// A stable word for programs.
    pub code: &'static str,
    /// A message for people: the failure and what to do. Never contains secrets or the database's own words.
    pub message: String,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
    /// `Allow`, for 405.
    pub allow: Option<String>,
}

impl ApiError {
    /// Makes an error of any status without `Retry-After`.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None, allow: None }
    }

    /// 400: the request can never work as it is.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// 401 with one of version 1's three texts, or wrong credentials.
    pub fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(401, code, message)
    }

    /// 404: the thing named does not exist.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(404, code, message)
    }

    /// 409: the request contradicts the current state.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(409, code, message)
    }

    /// 422: every field is well-formed, but they contradict each other or the file. Version 1's calls answer 400
    /// instead.
    pub fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(422, code, message)
    }

    /// 503 `busy`: a bounded queue is full. The same request works a moment later.
    pub fn busy(what: &str) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(503, "busy", format!("{what}; try again shortly")) }
    }

    /// 429: this client has used up its rate. `wait` becomes `Retry-After`, a second at least.
    pub fn too_many(code: &'static str, what: &str, wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000).max(1)).unwrap_or(u32::MAX);
        let message = format!("{what}; retry after {seconds} s");
        Self { retry_after_s: Some(seconds), ..Self::new(429, code, message) }
    }

    /// 503 `store_unavailable`: the database does not answer.
    pub fn store_unavailable() -> Self {
        let message = "the tracker's database does not answer; try again shortly";
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(503, "store_unavailable", message) }
    }

    /// 503 `draining`: the process is about to stop.
    pub fn draining() -> Self {
        let message = "this tracker is about to stop; ask another one, or this one after its restart";
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(503, "draining", message) }
    }

    /// 500 `internal`: a defect of the tracker. Log its cause where it is met.
    pub fn internal() -> Self {
        Self::new(500, "internal", "the tracker failed on this request; its log says why")
    }

    /// Renders the reply to the request `id`.
    pub fn to_reply(&self, id: &RequestId) -> Reply {
        let request_id = (self.status >= 500).then(|| id.to_string());
        let body = ErrorBody { error: self.message.clone(), code: self.code.to_owned(), request_id };
        let mut reply = Reply::json(self.status, &body);
        if let Some(seconds) = self.retry_after_s {
            reply = reply.with_header("Retry-After", seconds.to_string());
        }
        if let Some(methods) = &self.allow {
            reply = reply.with_header("Allow", methods.clone());
        }
        if self.status == 401 {
            reply = reply.with_header("WWW-Authenticate", "Bearer");
        }
        reply
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

/// Lines a second about failures of the database. One failed group commit answers thousands of requests.
const STORE_LINES_PER_SECOND: u32 = 5;
static STORE_LINES: PerSecond = PerSecond::new(STORE_LINES_PER_SECOND);
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl From<StoreError> for ApiError {
    /// Logs the database's own words, up to a number of lines a second, and hides them from the client.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(what) => Self::busy(what),
            StoreError::Unavailable(what) => {
                log_store_failure(log::warn, &format!("unavailable: {what}"));
                Self::store_unavailable()
            }
            StoreError::Failed(what) => {
                log_store_failure(log::error, &format!("failed: {what}"));
                Self::internal()
            }
        }
    }
}

fn log_store_failure(log: impl Fn(&str, &str, &[(&str, &dyn fmt::Display)]), message: &str) {
    match STORE_LINES.admit(BEGUN.elapsed().as_secs() as u32) {
        Some(0) => log("store", message, &[]),
        Some(left_out) => log("store", message, &[("left_out", &left_out)]),
        None => {}
    }
}

impl From<RateLimited> for ApiError {
    fn from(limited: RateLimited) -> Self {
        Self::too_many("rate_limited", limited.what, limited.wait)
    }
}

impl From<AddressError> for ApiError {
    fn from(error: AddressError) -> Self {
        Self::bad_request("invalid_address", error.to_string())
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Empty | PasswordError::ContainsNul | PasswordError::TooLong => {
                Self::bad_request("invalid_password", error.to_string())
            }
            PasswordError::Busy | PasswordError::Stopping => Self::busy(&error.to_string()),
            PasswordError::Failed => Self::internal(),
        }
    }
}

impl From<AccountsError> for ApiError {
    fn from(error: AccountsError) -> Self {
        use AccountsError as E;
        let text = error.to_string();
        match error {
            E::RateLimited(limited) => limited.into(),
            E::TooManyAttempts(wait) => Self::too_many("too_many_attempts", &text, wait),
            E::Missing(_) | E::NameWanted | E::InviteTooLong => Self::bad_request("invalid_body", text),
            E::InvalidAddress(error) => error.into(),
            E::InvalidPeerId(_) => Self::bad_request("invalid_peer_id", text),
            E::Password(error) => error.into(),
            E::RegistrationClosed => Self::new(403, "registration_closed", text),
            E::InviteRequired => Self::new(403, "invite_required", text),
            E::InvalidInvite => Self::new(403, "invalid_invite", text),
            E::AddressTaken => Self::conflict("address_taken", text),
            E::InvalidCredentials => Self::unauthorized("invalid_credentials", text),
            E::WrongPassword => Self::new(403, "wrong_password", text),
            E::Suspended => Self::new(403, "suspended", text),
            E::PasswordChanged => Self::conflict("password_changed", text),
            E::DeviceToken => Self::conflict("device_token", text),
            E::InvalidLabel => Self::unprocessable("invalid_label", text),
            E::InvalidScope => Self::unprocessable("invalid_scope", text),
            E::InvalidCsr(_) => Self::unprocessable("invalid_csr", text),
            E::InvalidRefreshToken => Self::unauthorized("invalid_refresh_token", text),
            E::RefreshTokenReused => Self::unauthorized("refresh_token_reused", text),
            E::InvalidToken => Self::unauthorized("invalid_token", text),
            E::InsufficientScope { .. } => Self::new(403, "insufficient_scope", text),
            E::UnknownDevice(_) => Self::not_found("unknown_device", text),
            E::UnknownAccount(_) => Self::not_found("unknown_peer", text),
            E::NoRandomness => Self::internal(),
            E::Store(error) => error.into(),
        }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        let text = error.to_string();
        match error {
            AccessError::Refused(Refusal::NotOwner) => Self::new(403, "not_owner", text),
            AccessError::UnknownFile | AccessError::Refused(Refusal::UnknownFile) => {
                Self::not_found("unknown_file", text)
            }
            AccessError::Refused(Refusal::UnknownAccount) => Self::not_found("unknown_account", text),
            AccessError::UnknownGroup | AccessError::Refused(Refusal::UnknownGroup) => {
                Self::not_found("unknown_group", text)
            }
            // Not 429: waiting does not help.
            AccessError::Refused(Refusal::TooManyFiles) => Self::new(413, "too_many_files", text),
            AccessError::Refused(Refusal::TooManyGroups) => Self::new(413, "too_many_groups", text),
            AccessError::Store(error) => error.into(),
        }
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        match full {
            Full::Tracker => Self { retry_after_s: Some(60), ..Self::new(503, "swarm_full", full.to_string()) },
            // Not 429: waiting does not help.
            Full::Account => Self::new(413, "too_many_files", full.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_s_own_words_stay_in_the_log() {
        for error in [StoreError::Unavailable("at 10.0.0.7".into()), StoreError::Failed("at 10.0.0.7".into())] {
            let reply = ApiError::from(error).to_reply(&RequestId::fresh());
            assert!(reply.status >= 500 && !String::from_utf8_lossy(&reply.body).contains("10.0.0.7"));
        }
    }

    #[test]
    fn a_client_over_its_rate_waits_a_second_at_least() {
        for (ms, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (900_000, 900)] {
            let error = ApiError::too_many("rate_limited", "slower", Duration::from_millis(ms));
            assert_eq!((error.status, error.retry_after_s), (429, Some(seconds)), "{ms}");
        }
    }

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let reply = ApiError::busy("too many writes are waiting").to_reply(&RequestId::fresh());
        assert_eq!((reply.status, reply.headers), (503, vec![("Retry-After", "1".into())]));
    }

    fn check(error: impl Into<ApiError>, status: u16, code: &str) {
        let error = error.into();
        assert_eq!((error.status, error.code), (status, code), "{error}");
    }

    #[test]
    fn every_account_error_has_its_status_and_code() {
        use AccountsError as E;
        let limited = RateLimited { what: "slower", wait: Duration::from_secs(2) };
        for (error, status, code) in [
            (E::RateLimited(limited), 429, "rate_limited"),
            (E::TooManyAttempts(Duration::from_secs(1)), 429, "too_many_attempts"),
            (E::Missing("password"), 400, "invalid_body"),
            (E::NameWanted, 400, "invalid_body"),
            (E::InviteTooLong, 400, "invalid_body"),
            (E::InvalidAddress(AddressError("it is too long")), 400, "invalid_address"),
            (E::Password(PasswordError::TooLong), 400, "invalid_password"),
            (E::Password(PasswordError::Busy), 503, "busy"),
            (E::Password(PasswordError::Stopping), 503, "busy"),
            (E::Password(PasswordError::Failed), 500, "internal"),
            (E::RegistrationClosed, 403, "registration_closed"),
            (E::InviteRequired, 403, "invite_required"),
            (E::InvalidInvite, 403, "invalid_invite"),
            (E::AddressTaken, 409, "address_taken"),
            (E::InvalidCredentials, 401, "invalid_credentials"),
            (E::WrongPassword, 403, "wrong_password"),
            (E::Suspended, 403, "suspended"),
            (E::PasswordChanged, 409, "password_changed"),
            (E::DeviceToken, 409, "device_token"),
            (E::InvalidLabel, 422, "invalid_label"),
            (E::InvalidScope, 422, "invalid_scope"),
            (E::InvalidRefreshToken, 401, "invalid_refresh_token"),
            (E::RefreshTokenReused, 401, "refresh_token_reused"),
            (E::InvalidToken, 401, "invalid_token"),
            (E::NoRandomness, 500, "internal"),
            (E::Store(StoreError::Busy("full")), 503, "busy"),
            (E::Store(StoreError::Unavailable("away".into())), 503, "store_unavailable"),
            (E::Store(StoreError::Failed("broken".into())), 500, "internal"),
        ] {
            check(error, status, code);
        }
    }

    #[test]
    fn access_and_index_errors_have_their_status_and_code() {
        check(AccessError::UnknownFile, 404, "unknown_file");
        check(AccessError::UnknownGroup, 404, "unknown_group");
        for (refusal, status, code) in [
            (Refusal::NotOwner, 403, "not_owner"),
            (Refusal::UnknownFile, 404, "unknown_file"),
            (Refusal::UnknownAccount, 404, "unknown_account"),
            (Refusal::UnknownGroup, 404, "unknown_group"),
            (Refusal::TooManyFiles, 413, "too_many_files"),
            (Refusal::TooManyGroups, 413, "too_many_groups"),
        ] {
            check(AccessError::Refused(refusal), status, code);
        }
        check(Full::Tracker, 503, "swarm_full");
        check(Full::Account, 413, "too_many_files");
        assert_eq!(ApiError::from(Full::Tracker).retry_after_s, Some(60));
    }

    /// The body and the headers of the reply to an error, with the request's id as `ID`.
    fn reply(error: impl Into<ApiError>) -> (String, Vec<(&'static str, String)>) {
        let id = RequestId::fresh();
        let reply = error.into().to_reply(&id);
        let body = String::from_utf8(reply.body).expect("is text");
        let headers = reply.headers.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        (body.replace(&id.to_string(), "ID"), headers)
    }

    #[test]
    fn a_reply_has_the_text_the_code_and_its_headers() {
        let shared = AddressError("it is too long");
        let text = shared.to_string();
        for (error, body, headers) in [
            (ApiError::from(shared), format!("{{\"error\":\"{text}\",\"code\":\"invalid_address\"}}"), &[][..]),
            (
                AccountsError::InvalidCredentials.into(),
                r#"{"error":"unknown account or wrong password","code":"invalid_credentials"}"#.to_owned(),
                &[("WWW-Authenticate", "Bearer")],
            ),
            (
                AccountsError::TooManyAttempts(Duration::from_millis(2_500)).into(),
                r#"{"error":"too many wrong passwords; retry after 3 s","code":"too_many_attempts"}"#.to_owned(),
                &[("Retry-After", "3")],
            ),
            (
                Full::Tracker.into(),
                r#"{"error":"the tracker's index is full","code":"swarm_full","request_id":"ID"}"#.to_owned(),
                &[("Retry-After", "60")],
            ),
            (
                StoreError::Busy("too many writes are waiting").into(),
                r#"{"error":"too many writes are waiting; try again shortly","code":"busy","request_id":"ID"}"#
                    .to_owned(),
                &[("Retry-After", "1")],
            ),
            (
                ApiError::internal(),
                r#"{"error":"the tracker failed on this request; its log says why","code":"internal","request_id":"ID"}"#
                    .to_owned(),
                &[],
            ),
            (
                ApiError { allow: Some("GET, HEAD".to_owned()), ..ApiError::new(405, "method_not_allowed", "no") },
                r#"{"error":"no","code":"method_not_allowed"}"#.to_owned(),
                &[("Allow", "GET, HEAD")],
            ),
        ] {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            assert_eq!(reply(error), (body, headers));
        }
    }

    #[test]
    fn only_errors_that_pass_say_when_to_come_back() {
        let wait = |error: ApiError| error.retry_after_s;
        for (error, seconds) in [
            (ApiError::draining(), Some(1)),
            (ApiError::store_unavailable(), Some(1)),
            (ApiError::busy("full"), Some(1)),
            (PasswordError::Busy.into(), Some(1)),
            (PasswordError::Failed.into(), None),
            (RateLimited { what: "slower", wait: Duration::from_secs(9) }.into(), Some(9)),
            (RateLimited { what: "slower", wait: Duration::MAX }.into(), Some(u32::MAX)),
            (Full::Account.into(), None),
            (AccessError::Refused(Refusal::TooManyFiles).into(), None),
            (AccountsError::AddressTaken.into(), None),
            (ApiError::internal(), None),
        ] {
            let text = error.to_string();
            assert_eq!(wait(error), seconds, "{text}");
        }
    }
}
