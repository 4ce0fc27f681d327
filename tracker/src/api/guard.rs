//! Who is calling: the bearer token of a request, checked against the tracker's key and the account's generation.

use peernet_engine::ids::PeerId;

use super::error::ApiError;
use crate::accounts;
use crate::app::App;
use crate::http::Head;

/// An account whose token was good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub peer: PeerId,
    /// The token's generation, which is the account's.
    pub generation: u32,
}

/// Finds out who sent a request. Answers 401 with version 1's texts; 503 where the account is not in memory and the
/// store does not answer; 429 `rate_limited` where the account asks too much;
/// 403 `suspended`.
pub fn authenticate(app: &App, head: &Head) -> Result<Caller, ApiError> {
    let token = bearer(head)?;
    let (peer, generation) = verify(app, token).ok_or_else(invalid_token)?;
    let current = app.accounts.generation(app, peer)?;
    if current != Some(generation) {
        return Err(invalid_token());
    }
    accounts::refuse_suspended(app, peer)?;
    app.limits.check_account(peer)?;
    Ok(Caller { peer, generation })
}

/// A token of a key that nobody knows here may be of a tracker that started a moment ago: worth one look at who there is.
fn verify(app: &App, token: &str) -> Option<(PeerId, u32)> {
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
    let words: Vec<&str> = header.split(' ').collect();
    match words[..] {
        [scheme, token] if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => Ok(token),
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
