//! Devices of an account: logging in, renewing tokens, listing, and revoking.

use std::net::IpAddr;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::{DeviceRequest, TokenRefreshRequest};
use peernet_threads::Blocking;

use super::refresh_token::RefreshToken;
use super::{Accounts, AccountsError, Result, Session, certificate, check_scope, random};
use crate::base::scopes::Scopes;
use crate::domain::keys::Caller;
use crate::store::accounts::AccountWrite;
use crate::store::devices::{Device, NewDevice, Renewal, Revoked};
use crate::store::{Write, Written};

/// The longest label in bytes; the OpenAPI file states it.
const LABEL_BYTES_MAX: usize = 64;
/// The most scopes in a request; there are fewer.
const SCOPES_MAX: usize = 8;

/// A device that wants to log in, checked.
#[derive(Debug, Clone)]
pub(super) struct NewLogin {
    label: String,
    scopes: Scopes,
}

/// The values that a device gets beside its access token.
#[derive(Debug)]
pub struct DeviceSession {
    /// The device's id.
    pub id: DeviceId,
    /// The scopes of its tokens.
    pub scopes: Scopes,
    /// The token for getting the next tokens.
    pub refresh_token: RefreshToken,
    /// When the refresh token ends, in seconds since 1970-01-01 UTC.
    pub refresh_expires_at: u64,
}

/// Checks the label and the scopes of a device that wants to log in.
pub(super) fn check(request: Option<DeviceRequest>) -> Result<Option<NewLogin>> {
    let Some(DeviceRequest { label, scopes }) = request else { return Ok(None) };
    if label.is_empty() || label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        return Err(AccountsError::InvalidLabel);
    }
    let known = if scopes.len() > SCOPES_MAX { None } else { Scopes::of_words(&scopes) };
    Ok(Some(NewLogin { label, scopes: known.ok_or(AccountsError::InvalidScope)? }))
}

impl Accounts {
    /// Makes a device of an account: the row to write, and the session for its client.
    pub(super) fn introduce(
        &self,
        account: PeerId,
        login: Option<&NewLogin>,
    ) -> Result<Option<(NewDevice, DeviceSession)>> {
        let Some(NewLogin { label, scopes }) = login.cloned() else { return Ok(None) };
        let id = DeviceId::from_random(random()?);
        let refresh_token = RefreshToken::fresh()?;
        let expires_at = self.refresh_expiry();
        let device = NewDevice {
            id,
            account,
            label,
            scopes,
            family_hash: refresh_token.family_hash(),
            refresh_hash: refresh_token.hash(),
            expires_at,
        };
        Ok(Some((device, DeviceSession { id, scopes, refresh_token, refresh_expires_at: expires_at.as_secs() })))
    }

    fn refresh_expiry(&self) -> UnixMillis {
        self.now().plus(self.settings.refresh_lifetime)
    }

    /// Logs a device in, where the client names one. Fails if the password was changed since the account was read.
    pub(super) fn log_device_in(
        &self,
        account: PeerId,
        generation: u32,
        login: Option<&NewLogin>,
    ) -> Result<Option<DeviceSession>> {
        let Some((device, session)) = self.introduce(account, login)? else { return Ok(None) };
        let write = Write::Account(AccountWrite::AddDevice { device, generation });
        match self.services.database.write_one(&Blocking::declare(), write)? {
            Written::Stale => return Err(AccountsError::PasswordChanged),
            Written::Replaced(ended) => self.note_revoked(account, ended),
            _ => {}
        }
        Ok(Some(session))
    }

    /// Refuses the tokens of these devices from now on. The other trackers learn of it from the store within seconds.
    fn note_revoked(&self, account: PeerId, devices: impl IntoIterator<Item = DeviceId>) {
        let at = self.now();
        self.revoked.add(devices.into_iter().map(|id| Revoked { id, account, at }));
    }

    /// Exchanges a refresh token for the next one and a fresh access token. A token that was exchanged before ends its
    /// device: two clients have it, and one of them has stolen it.
    pub fn renew(&self, remote: Option<IpAddr>, request: &TokenRefreshRequest) -> Result<Session> {
        self.services.limits.check_login(remote)?;
        certificate::check(request.csr.as_deref())?;
        let shown = RefreshToken::parse(&request.refresh_token).ok_or(AccountsError::InvalidRefreshToken)?;
        let device = self.find_device(&shown)?.ok_or(AccountsError::InvalidRefreshToken)?;
        self.refuse_suspended(device.account)?;
        // Read before the exchange: a password change after it ends both the device and this generation.
        let generation = self.generation(device.account)?.ok_or(AccountsError::InvalidRefreshToken)?;
        let renewed = self.exchange(&device, &shown)?;
        let caller = Caller { peer: device.account, generation, device: Some(device.id), scopes: device.scopes };
        let token = self.services.keys.issue(self.now(), &caller);
        let session = Session { peer: device.account, token, certificate: None, created: false, device: Some(renewed) };
        self.with_certificate(session, request.csr.as_deref())
    }

    fn find_device(&self, shown: &RefreshToken) -> Result<Option<Device>> {
        let found =
            self.services.database.read(&Blocking::declare(), |store| store.device_of_family(&shown.family_hash()))?;
        Ok(found.filter(|device| device.is_live(self.now())))
    }

    fn exchange(&self, device: &Device, shown: &RefreshToken) -> Result<DeviceSession> {
        let refresh_token = shown.successor()?;
        let expires_at = self.refresh_expiry();
        let renewal = Renewal {
            device: device.id,
            account: device.account,
            shown_hash: shown.hash(),
            next_hash: refresh_token.hash(),
            expires_at,
        };
        match self
            .services
            .database
            .write_one(&Blocking::declare(), Write::Account(AccountWrite::RenewDevice(renewal)))?
        {
            Written::Done => Ok(DeviceSession {
                id: device.id,
                scopes: device.scopes,
                refresh_token,
                refresh_expires_at: expires_at.as_secs(),
            }),
            Written::Reused => {
                self.note_revoked(device.account, [device.id]);
                Err(AccountsError::RefreshTokenReused)
            }
            _ => Err(AccountsError::InvalidRefreshToken),
        }
    }

    /// The live devices of the caller's account, newest first.
    pub fn devices(&self, caller: &Caller) -> Result<Vec<Device>> {
        let now = self.now();
        Ok(self.services.database.read(&Blocking::declare(), |store| store.devices(caller.peer, now))?)
    }

    /// Revokes a device of the caller's account; succeeds if it was revoked before. Any device may revoke itself; another
    /// one needs the scope for it.
    pub fn revoke_device(&self, caller: &Caller, id: DeviceId) -> Result<()> {
        if caller.device != Some(id) {
            check_scope(caller, Scopes::ADMIN)?;
        }
        let write = Write::Account(AccountWrite::RevokeDevice { account: caller.peer, id });
        match self.services.database.write_one(&Blocking::declare(), write)? {
            Written::Stale => Err(AccountsError::UnknownDevice(id)),
            Written::Done => {
                self.note_revoked(caller.peer, [id]);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
