//! Accounts under `/api/v1/peers/`: register, login, password, certificate, refresh, me.

use peernet_engine::economy::{Tier, shown_score, shown_tokens};
use peernet_protos::rest::{CertificateRequest, MeReply, RegisterRequest, TokenReply};
use peernet_threads::Blocking;

use crate::api::handlers::AccountCalls;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::domain::accounts::{AccountsError, Session};
use crate::store::StoreError;
use peernet_door::{Reply, Request};

/// `POST /api/v1/peers/register`: 201 with a new account. If the address is registered already and the password is right, it
/// answers 200; version 1 clients accept no success but 201, so they get 201.
pub fn register(calls: &AccountCalls, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: RegisterRequest = json_body(request)?;
    let version_1 = body.protocol.unwrap_or(1) < 2;
    let session = calls.accounts.register(request.remote, body)?;
    let status = if session.created || version_1 { 201 } else { 200 };
    Ok(token_reply(status, session))
}

/// `POST /api/v1/peers/login`.
pub fn login(calls: &AccountCalls, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    Ok(token_reply(200, calls.accounts.log_in(request.remote, json_body(request)?)?))
}

/// `POST /api/v1/peers/password`.
pub fn change_password(
    calls: &AccountCalls,
    caller: &Caller,
    request: &Request,
    _args: &PathArgs,
) -> Result<Reply, ApiError> {
    Ok(token_reply(200, calls.accounts.change_password(caller, request.remote, json_body(request)?)?))
}

/// `POST /api/v1/peers/certificate`: a certificate for a first key, or in place of one that ends soon.
pub fn certificate(
    calls: &AccountCalls,
    caller: &Caller,
    request: &Request,
    _args: &PathArgs,
) -> Result<Reply, ApiError> {
    let body: CertificateRequest = json_body(request)?;
    let certificate = calls.accounts.issue_certificate(caller.peer, caller.device, &body.csr)?;
    Ok(Reply::json(200, &certificate).with_header("Cache-Control", "no-store"))
}

/// `POST /api/v1/peers/refresh`: a new token in place of one that no device has. Takes no body.
pub fn refresh(calls: &AccountCalls, caller: &Caller, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    Ok(token_reply(200, calls.accounts.reissue(caller)?))
}

/// `GET /api/v1/peers/me`.
pub fn me(calls: &AccountCalls, caller: &Caller, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let found = calls.database.read(&Blocking::declare(), |store| {
        let Some(account) = store.account(caller.peer)? else { return Ok(None) };
        let ledger = store.ledger(caller.peer)?;
        let ledger = ledger.ok_or_else(|| StoreError::Failed(format!("account {} has no ledger row", caller.peer)))?;
        Ok(Some((account, ledger, store.escrow_mt(caller.peer)?)))
    })?;
    let (account, ledger, escrow_mt) = found.ok_or(AccountsError::UnknownAccount(caller.peer))?;
    let standing = ledger.standing((calls.clock)());
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
            files_shared: calls.swarm.files_of(caller.peer),
            created_at: account.created_at.as_secs(),
        },
    ))
}

/// The reply that carries a session's tokens; no cache may keep it.
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
