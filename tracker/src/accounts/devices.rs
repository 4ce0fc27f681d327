//! Devices of an account: how one logs in, how its tokens are renewed, who they are and how one is ended.

use std::net::IpAddr;
use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::{DeviceRequest, TokenRefreshRequest};

use super::refresh_token::RefreshToken;
use super::{Session, certificate, random, refuse_suspended, write_one};
use crate::api::{ApiError, Caller, guard};
use crate::app::App;
use crate::scopes::Scopes;
use crate::store::devices::{Device, NewDevice, Renewal, Revoked};
use crate::store::registry::AccountWrite;
use crate::store::{Write, Written};

/// The longest label, in bytes; the OpenAPI file says so.
const LABEL_BYTES_MAX: usize = 64;
/// More words than there are scopes are no list of them.
const SCOPES_MAX: usize = 8;
/// The unit of a refresh token's life.
const DAY: Duration = Duration::from_secs(86_400);

/// A device that wants to log in, as it may be written down.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    label: String,
    scopes: Scopes,
}

/// What a device is given beside its access token.
#[derive(Debug)]
pub struct DeviceSession {
    /// Its id.
    pub id: DeviceId,
    /// What its tokens may be used for.
    pub scopes: Scopes,
    /// What it gets the next ones with.
    pub refresh_token: RefreshToken,
    /// When that ends, seconds since 1970-01-01 UTC.
    pub refresh_expires_at: u64,
}

/// Reads what a device says of itself. 422 `invalid_label`, `invalid_scope`.
pub(super) fn check(request: Option<DeviceRequest>) -> Result<Option<Wish>, ApiError> {
    let Some(DeviceRequest { label, scopes }) = request else { return Ok(None) };
    if label.is_empty() || label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        let message = "a device's label must be 1 to 64 bytes without control characters";
        return Err(ApiError::unprocessable("invalid_label", message));
    }
    let known = if scopes.len() > SCOPES_MAX { None } else { Scopes::of_words(&scopes) };
    let refused = || ApiError::unprocessable("invalid_scope", "scopes must be some of read, share and admin");
    Ok(Some(Wish { label, scopes: known.ok_or_else(refused)? }))
}

/// A device of an account, ready to be written, and what it is given then.
pub(super) fn introduce(
    app: &App,
    account: PeerId,
    wish: Option<&Wish>,
) -> Result<Option<(NewDevice, DeviceSession)>, ApiError> {
    let Some(Wish { label, scopes }) = wish.cloned() else { return Ok(None) };
    let (id, refresh_token) = (DeviceId::from_random(random()?), RefreshToken::fresh()?);
    let (family_hash, refresh_hash) = (refresh_token.family_hash(), refresh_token.hash());
    let expires_at = refresh_expiry(app, (app.clock)());
    let device = NewDevice { id, account, label, scopes, family_hash, refresh_hash, expires_at };
    Ok(Some((device, DeviceSession { id, scopes, refresh_token, refresh_expires_at: expires_at.as_secs() })))
}

fn refresh_expiry(app: &App, now: UnixMillis) -> UnixMillis {
    now.plus(DAY * app.config.refresh_days)
}

/// Logs a device in, where one wants to be. 409 `password_changed` when that happened since the account was read.
pub(super) fn log_in(
    app: &App,
    account: PeerId,
    generation: u32,
    wish: Option<&Wish>,
) -> Result<Option<DeviceSession>, ApiError> {
    let Some((device, session)) = introduce(app, account, wish)? else { return Ok(None) };
    match write_one(app, Write::Account(AccountWrite::AddDevice { device, generation }))? {
        Written::Stale => return Err(super::password_changed()),
        Written::Replaced(ended) => note_ended(app, account, ended),
        _ => {}
    }
    Ok(Some(session))
}

/// From now on their tokens are refused here; the other trackers learn of it within seconds.
fn note_ended(app: &App, account: PeerId, ended: impl IntoIterator<Item = DeviceId>) {
    let at = (app.clock)();
    app.accounts.revoked.add(ended.into_iter().map(|id| Revoked { id, account, at }));
}

/// Exchanges a refresh token for the next one and a fresh access token. 401 `invalid_refresh_token`; 401 `refresh_token_reused` for one
/// that was replaced, with which its device ends; 403 `suspended`; 422 `invalid_csr`; 429 `rate_limited`.
pub fn renew(app: &App, remote: Option<IpAddr>, request: &TokenRefreshRequest) -> Result<Session, ApiError> {
    app.limits.check_login(remote)?;
    certificate::check(request.csr.as_deref())?;
    let shown = RefreshToken::parse(&request.refresh_token).ok_or_else(invalid_refresh_token)?;
    let device = find(app, &shown)?.ok_or_else(invalid_refresh_token)?;
    refuse_suspended(app, device.account)?;
    // Read before the exchange: a password that changes after it ends the device and this generation together.
    let generation = app.accounts.generation(app, device.account)?.ok_or_else(invalid_refresh_token)?;
    let renewed = exchange(app, &device, &shown)?;
    let caller = Caller { peer: device.account, generation, device: Some(device.id), scopes: device.scopes };
    let token = app.keys.issue((app.clock)(), &caller);
    let session = Session { peer: device.account, token, certificate: None, created: false, device: Some(renewed) };
    certificate::added(app, session, request.csr.as_deref())
}

fn find(app: &App, shown: &RefreshToken) -> Result<Option<Device>, ApiError> {
    let found = app.permits.with(|| app.store.registry()?.device_of_family(&shown.family_hash()))?;
    Ok(found.filter(|device| device.is_live((app.clock)())))
}

fn exchange(app: &App, device: &Device, shown: &RefreshToken) -> Result<DeviceSession, ApiError> {
    let (refresh_token, expires_at) = (shown.successor()?, refresh_expiry(app, (app.clock)()));
    let renewal = Renewal {
        device: device.id,
        account: device.account,
        shown_hash: shown.hash(),
        next_hash: refresh_token.hash(),
        expires_at,
    };
    match write_one(app, Write::Account(AccountWrite::RenewDevice(renewal)))? {
        Written::Done => {
            let (id, scopes) = (device.id, device.scopes);
            Ok(DeviceSession { id, scopes, refresh_token, refresh_expires_at: expires_at.as_secs() })
        }
        Written::Reused => {
            note_ended(app, device.account, [device.id]);
            let message = "this refresh token was replaced already, so somebody has a copy: the device was logged out";
            Err(ApiError::unauthorized("refresh_token_reused", message))
        }
        _ => Err(invalid_refresh_token()),
    }
}

fn invalid_refresh_token() -> ApiError {
    let message = "this refresh token is unknown or has ended: log in again";
    ApiError::unauthorized("invalid_refresh_token", message)
}

/// The caller's account's live devices, the newest first.
pub fn list(app: &App, caller: &Caller) -> Result<Vec<Device>, ApiError> {
    app.permits.with(|| app.store.registry()?.devices(caller.peer, (app.clock)()))
}

/// Ends a device of the caller's account; nothing more is done where it has ended. 403 `insufficient_scope` for another than the caller's
/// own without the scope for it; 404 `unknown_device`.
pub fn revoke(app: &App, caller: &Caller, id: DeviceId) -> Result<(), ApiError> {
    if caller.device != Some(id) {
        guard::check_scope(caller, Scopes::ADMIN)?;
    }
    match write_one(app, Write::Account(AccountWrite::RevokeDevice { account: caller.peer, id }))? {
        Written::Stale => Err(ApiError::not_found("unknown_device", format!("this account has no device {id}"))),
        Written::Done => {
            note_ended(app, caller.peer, [id]);
            Ok(())
        }
        _ => Ok(()),
    }
}
