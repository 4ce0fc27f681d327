//! Devices of an account: `/api/v1/devices…`, and the renewal of their tokens: `/api/v1/tokens/refresh`.

use peernet_protos::rest::{DeviceBody, DevicesReply, StatusReply, TokenRefreshRequest};

use super::accounts::token_reply;
use crate::api::handlers::AccountCalls;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::store::devices::Device;
use peernet_door::{Reply, Request};

/// `POST /api/v1/tokens/refresh`: authenticated by the refresh token in the body.
pub fn renew(calls: &AccountCalls, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: TokenRefreshRequest = json_body(request)?;
    Ok(token_reply(200, calls.accounts.renew(request.remote, &body)?))
}

/// `GET /api/v1/devices`.
pub fn list(calls: &AccountCalls, caller: &Caller, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let devices = calls.accounts.devices(caller)?.into_iter().map(|device| shown(device, caller)).collect();
    Ok(Reply::json(200, &DevicesReply { devices }))
}

fn shown(device: Device, caller: &Caller) -> DeviceBody {
    DeviceBody {
        device_id: device.id.to_string(),
        label: device.label,
        scopes: device.scopes.words(),
        created_at: device.created_at.as_secs(),
        seen_at: device.seen_at.as_secs(),
        current: caller.device == Some(device.id),
    }
}

/// `DELETE /api/v1/devices/{device_id}`.
pub fn revoke(calls: &AccountCalls, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    calls.accounts.revoke_device(caller, args.parse("device_id", "invalid_device_id")?)?;
    Ok(Reply::json(200, &StatusReply { status: "revoked".to_owned() }))
}
