//! The credentials as they are stored. Fields that later versions added may be absent, because the folder may be older.

use std::str::FromStr as _;

use peernet_engine::ids::IdError;
use serde::{Deserialize, Serialize};

use super::{Credentials, DeviceLogin};
use crate::identity::Scope;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    version: u32,
    tracker: String,
    peer_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    token: String,
    obtained_at: u64,
    expires_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device_label: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    device_scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_expires_at: Option<u64>,
}

impl Stored {
    pub(super) fn into_credentials(self) -> Result<Credentials, IdError> {
        let device = match (self.device_id, self.refresh_token) {
            (Some(id), Some(refresh_token)) => Some(DeviceLogin {
                id: id.parse()?,
                label: self.device_label.unwrap_or_default(),
                // A scope of a later version is left out here; the tracker knows it.
                scopes: self.device_scopes.iter().filter_map(|word| Scope::from_str(word).ok()).collect(),
                refresh_token,
                refresh_expires_at: self.refresh_expires_at.unwrap_or(0),
            }),
            _ => None,
        };
        Ok(Credentials {
            tracker: self.tracker,
            peer_id: self.peer_id.parse()?,
            address: self.address,
            token: self.token,
            obtained_at: self.obtained_at,
            expires_at: self.expires_at,
            device,
        })
    }
}

impl From<Credentials> for Stored {
    fn from(credentials: Credentials) -> Self {
        let Credentials { tracker, peer_id, address, token, obtained_at, expires_at, device } = credentials;
        let plain = Self {
            version: VERSION,
            tracker,
            peer_id: peer_id.to_string(),
            address,
            token,
            obtained_at,
            expires_at,
            device_id: None,
            device_label: None,
            device_scopes: Vec::new(),
            refresh_token: None,
            refresh_expires_at: None,
        };
        let Some(device) = device else { return plain };
        Self {
            device_id: Some(device.id.to_string()),
            device_label: Some(device.label),
            device_scopes: device.scopes.iter().map(ToString::to_string).collect(),
            refresh_token: Some(device.refresh_token),
            refresh_expires_at: Some(device.refresh_expires_at),
            ..plain
        }
    }
}
