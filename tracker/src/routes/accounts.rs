//! `/api/v1/peers/…` as far as it is about accounts: register, login, password, refresh, me.

use peernet_engine::economy::{Tier, shown_score, shown_tokens};
use peernet_protos::rest::{CertificateRequest, MeReply, RegisterRequest, TokenReply};

use crate::accounts::{self, Session};
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::app::App;
use crate::http::{Reply, Request};

/// `POST /api/v1/peers/register`: 201 with a new account. An address that is registered already, with its password, is 200;
/// version 1 clients take no other success than 201, so they get that.
pub fn register(app: &App, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: RegisterRequest = json_body(request)?;
    let version_1 = body.protocol.unwrap_or(1) < 2;
    let session = accounts::register(app, request.remote, body)?;
    let status = if session.created || version_1 { 201 } else { 200 };
    Ok(token_reply(status, session))
}

/// `POST /api/v1/peers/login`.
pub fn login(app: &App, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    Ok(token_reply(200, accounts::log_in(app, request.remote, json_body(request)?)?))
}

/// `POST /api/v1/peers/password`.
pub fn change_password(app: &App, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    Ok(token_reply(200, accounts::change_password(app, caller, request.remote, json_body(request)?)?))
}

/// `POST /api/v1/peers/certificate`: another certificate, for a device's first or for one that ends soon.
pub fn certificate(app: &App, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: CertificateRequest = json_body(request)?;
    let certificate = accounts::issue_certificate(app, caller.peer, caller.device, &body.csr)?;
    Ok(Reply::json(200, &certificate).with_header("Cache-Control", "no-store"))
}

/// `POST /api/v1/peers/refresh`; takes no body. Of tokens that are no device's: those are renewed with their refresh token.
pub fn refresh(app: &App, caller: &Caller, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    Ok(token_reply(200, accounts::refresh(app, caller)?))
}

/// `GET /api/v1/peers/me`.
pub fn me(app: &App, caller: &Caller, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let (account, ledger, escrow_mt) = {
        let _permit = app.permits.take()?;
        (app.store.account(caller.peer)?, app.store.ledger(caller.peer)?, app.store.escrow_mt(caller.peer)?)
    };
    let account = account.ok_or_else(|| accounts::unknown_account(caller))?;
    let ledger = ledger.ok_or_else(ApiError::internal)?;
    let standing = ledger.standing((app.clock)());
    Ok(Reply::json(
        200,
        &MeReply {
            peer_id: caller.peer.to_string(),
            address: account.address,
            reputation_score: shown_score(standing.score),
            established: standing.tier == Tier::Established,
            token_balance: shown_tokens(ledger.balance_mt),
            token_balance_mt: ledger.balance_mt,
            escrow_mt,
            files_shared: app.swarm.files_of(caller.peer),
            created_at: account.created_at.as_secs(),
        },
    ))
}

/// A session as its client is told of it.
pub(super) fn token_reply(status: u16, session: Session) -> Reply {
    let Session { peer, token, certificate, device, .. } = session;
    let reply = TokenReply {
        peer_id: peer.to_string(),
        token: token.text,
        expires_at: token.expires_at,
        certificate,
        device_id: device.as_ref().map(|device| device.id.to_string()),
        refresh_token: device.as_ref().map(|device| device.refresh_token.text()),
        refresh_expires_at: device.as_ref().map(|device| device.refresh_expires_at),
    };
    Reply::json(status, &reply).with_header("Cache-Control", "no-store")
}
