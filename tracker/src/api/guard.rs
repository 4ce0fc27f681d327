//! Authentication: the bearer token of a request, checked against the tracker's key, the account's generation, the revoked
//! devices, and the scopes that the call needs.

use std::sync::Arc;

use super::error::ApiError;
use crate::api::handlers::Clock;
use crate::base::scopes::Scopes;
use crate::domain::accounts::{Accounts, AccountsError, check_scope};
use crate::domain::database::Database;
pub use crate::domain::keys::Caller;
use crate::domain::keys::Keys;
use crate::domain::keys::tracker_keys::TrackerKeys;
use crate::domain::limits::Limits;
use peernet_door::Head;

/// Authenticates callers.
pub struct Guard {
    /// Verifies tokens.
    pub keys: Arc<Keys>,
    /// Whether a token is in force.
    pub accounts: Arc<Accounts>,
    /// The keys of the other trackers.
    pub tracker_keys: TrackerKeys,
    /// The database that those keys are read from.
    pub database: Arc<Database>,
    /// Request rates of accounts.
    pub limits: Arc<Limits>,
    /// The time now.
    pub clock: Clock,
}

impl Guard {
    /// Authenticates the caller of a request that needs any of the scopes `needed`. Answers 401 with version 1's texts; 503
    /// where the account is not in memory and the store does not answer; 429 `rate_limited` where the account makes too many
    /// requests; 403 `suspended` and `insufficient_scope`.
    pub fn authenticate(&self, head: &Head, needed: Scopes) -> Result<Caller, ApiError> {
        let token = bearer(head)?;
        let caller = self.verify(token).ok_or(AccountsError::InvalidToken)?;
        self.accounts.check_caller(&caller)?;
        self.limits.check_account(caller.peer)?;
        check_scope(&caller, needed)?;
        Ok(caller)
    }

    /// Verifies a token. A token with an unknown key may come from a tracker that started a moment ago, so the keys of the
    /// trackers are read once more before it is refused.
    fn verify(&self, token: &str) -> Option<Caller> {
        let now = (self.clock)();
        let checked = self.keys.verify(now, token);
        if checked.is_none()
            && self.keys.is_of_unknown_key(token)
            && self.tracker_keys.read(now, &self.database, &self.keys)
        {
            return self.keys.verify(now, token);
        }
        checked
    }
}

fn bearer(head: &Head) -> Result<&str, ApiError> {
    let header = head
        .header("authorization")
        .ok_or_else(|| ApiError::unauthorized("authorization_required", "Authorization header required"))?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ') => {
            Ok(token)
        }
        _ => Err(ApiError::unauthorized("authorization_format", "Authorization header format must be Bearer {token}")),
    }
}

#[cfg(test)]
mod tests {
    use tiny_http::Method;

    use super::*;

    #[test]
    fn version_1_s_texts_are_kept() {
        let head = |value: &str| Head {
            method: Method::Get,
            path: "/".into(),
            query: String::new(),
            headers: vec![("authorization".into(), value.into())],
        };
        for good in ["Bearer abc", "bearer abc"] {
            assert_eq!(bearer(&head(good)).expect(good), "abc");
        }
        for bad in ["", "Bearer", "Bearer ", "Bearer  abc", "Basic abc", "abc", "Bearer a b"] {
            let error = bearer(&head(bad)).expect_err(bad);
            assert_eq!(
                (error.status, error.message.as_str()),
                (401, "Authorization header format must be Bearer {token}")
            );
        }
        let none = Head { headers: Vec::new(), ..head("") };
        assert_eq!(bearer(&none).expect_err("no header").message, "Authorization header required");
    }
}
