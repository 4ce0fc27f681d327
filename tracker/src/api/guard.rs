//! Who is calling: the bearer token of a request, checked against the tracker's key, the account's generation, the devices that were
//! ended, and what the call needs.

use super::error::ApiError;
use crate::accounts;
use crate::app::App;
use crate::http::Head;
pub use crate::keys::Caller;
use crate::scopes::Scopes;

/// Finds out who sent a request, and whether any of the scopes `needed` is the token's. Answers 401 with version 1's texts; 503 where the
/// account is not in memory and the store does not answer; 429 `rate_limited` where the account asks too much; 403 `suspended`,
/// `insufficient_scope`.
pub fn authenticate(app: &App, head: &Head, needed: Scopes) -> Result<Caller, ApiError> {
    let token = bearer(head)?;
    let caller = verify(app, token).ok_or_else(invalid_token)?;
    let current = app.accounts.generation(app, caller.peer)?;
    if current != Some(caller.generation) || caller.device.is_some_and(|id| app.accounts.is_revoked(id)) {
        return Err(invalid_token());
    }
    accounts::refuse_suspended(app, caller.peer)?;
    app.limits.check_account(caller.peer)?;
    check_scope(&caller, needed)?;
    Ok(caller)
}

/// 403 `insufficient_scope`, which names what is missing.
pub fn check_scope(caller: &Caller, needed: Scopes) -> Result<(), ApiError> {
    if caller.scopes.allow(needed) {
        return Ok(());
    }
    let message = format!("this call needs the scope {needed}; this device's token is for: {}", caller.scopes);
    Err(ApiError::new(403, "insufficient_scope", message))
}

/// A token of a key that nobody knows here may be of a tracker that started a moment ago: worth one look at who there is.
fn verify(app: &App, token: &str) -> Option<Caller> {
    let checked = app.keys.verify((app.clock)(), token);
    if checked.is_none() && app.keys.is_of_unknown_key(token) && app.acquaintances.look(app) {
        return app.keys.verify((app.clock)(), token);
    }
    checked
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

fn invalid_token() -> ApiError {
    ApiError::unauthorized("invalid_token", "Invalid token")
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
