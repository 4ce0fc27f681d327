//! Who may register: anyone, who was invited, or nobody. An address that is registered already is not asked: it logs in.

use crate::api::ApiError;
use crate::app::App;
use crate::config::Registration;
use crate::invites::hash_code;
use crate::store::registry::CodeHash;

/// No code is longer; the OpenAPI file says so.
const INVITE_CHARS_MAX: usize = 128;

/// The invite that a new account uses up, if it needs one. Looked at before a password is hashed for it; used in the transaction that
/// makes the account. 403 `registration_closed`, `invite_required`, `invalid_invite`.
pub(super) fn admit(app: &App, invite: Option<&str>) -> Result<Option<CodeHash>, ApiError> {
    match app.config.registration {
        Registration::Open => Ok(None),
        Registration::Closed => Err(ApiError::new(403, "registration_closed", "this tracker takes no new accounts")),
        Registration::Invite => {
            let code = invite.map(str::trim).filter(|code| !code.is_empty());
            let code =
                code.ok_or_else(|| ApiError::new(403, "invite_required", "this tracker wants an invite code"))?;
            check(app, hash_code(code)).map(Some)
        }
    }
}

/// 400 `invalid_body` for what cannot be a code, whether one is wanted or not.
pub(super) fn check_length(invite: Option<&str>) -> Result<(), ApiError> {
    match invite.is_some_and(|code| code.chars().count() > INVITE_CHARS_MAX) {
        true => Err(ApiError::bad_request("invalid_body", "invite is longer than any code")),
        false => Ok(()),
    }
}

fn check(app: &App, code_hash: CodeHash) -> Result<CodeHash, ApiError> {
    let found = app.permits.with(|| app.store.registry()?.invite(&code_hash))?;
    let good = found.is_some_and(|invite| invite.is_good((app.clock)()));
    if good { Ok(code_hash) } else { Err(refused()) }
}

/// The invite is not good; it is not said why, so that codes cannot be tried out.
pub(super) fn refused() -> ApiError {
    ApiError::new(403, "invalid_invite", "this invite code is unknown, used up, expired or taken back")
}
