//! The devices of the account: naming this one at the login, listing all, and logging out.

use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_protos::rest::{DeviceBody, DeviceRequest, DevicesReply, StatusReply};

use super::http::Call;
use super::session::{AtTracker, Ended};
use super::{TrackerClient, TrackerError};

/// The time for which a stopping node waits for questions of downloads that are still under way.
const ASKERS_JOIN_MAX: Duration = Duration::from_millis(500);
/// The longest label of a device, in bytes.
pub(super) const LABEL_BYTES_MAX: usize = 64;
/// The label of a machine without a name.
const LABEL_OF_NAMELESS: &str = "peernet";
/// The file in which Linux keeps the machine's name. Elsewhere the environment may have it.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";
/// The longest list of devices, in bytes: a hundred with long labels.
const DEVICES_ANSWER: u64 = 256 << 10;

/// One login of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's id.
    pub id: DeviceId,
    /// The label it was given; clean it before showing it on a terminal.
    pub label: String,
    /// The scopes of the device, as the tracker names them.
    pub scopes: Vec<String>,
    /// When it logged in, seconds since 1970-01-01 UTC.
    pub created_at: u64,
    /// When its tokens were last renewed, likewise.
    pub seen_at: u64,
    /// Whether it is this device.
    pub is_current: bool,
}

/// A login that was ended here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedOut {
    /// The account.
    pub account: PeerId,
    /// The device's id, where the tracker had given it one.
    pub device: Option<DeviceId>,
    /// The end as far as the tracker knows.
    pub at_tracker: AtTracker,
}

impl TrackerClient {
    /// Lists the devices of the account, the newest first.
    pub(crate) fn devices(&self) -> Result<Vec<Device>, TrackerError> {
        let call = Call { answer_max: DEVICES_ANSWER, ..Call::get("/api/v1/devices") };
        let reply: DevicesReply = self.authorised(call).map_err(|error| self.without_devices(error))?;
        reply.devices.into_iter().map(device).collect()
    }

    /// Logs a device of the account out. Logging out another one than this needs the scope [`Scope::Admin`].
    pub(crate) fn revoke_device(&self, id: DeviceId) -> Result<(), TrackerError> {
        let path = format!("/api/v1/devices/{id}");
        let ended = self.authorised::<StatusReply>(Call::delete(&path));
        ended.map(drop).map_err(|error| self.without_devices(error))
    }

    /// Logs this folder out: at the tracker, if `tell` is set and it can be reached, and in the folder in any case,
    /// where the tokens, the certificate and its key are removed. `None` where there is no login at this tracker.
    pub(crate) fn logout(&self, tell: bool) -> Result<Option<LoggedOut>, TrackerError> {
        let remove = || self.identity.remove().map_err(super::local);
        let Some(Ended { credentials, at_tracker }) = self.session.end(&self.http, tell, &remove)? else {
            return Ok(None);
        };
        let device = credentials.device.map(|device| device.id);
        Ok(Some(LoggedOut { account: credentials.peer_id, device, at_tracker }))
    }

    /// Waits until no thread exchanges tokens, at most `longest`: a process that ends in the middle of that could lose
    /// its login. Then joins the threads on which downloads asked; one that a silent tracker holds up ends with its
    /// time-outs.
    pub(crate) fn settle(&self, longest: Duration) {
        self.session.settle(longest);
        let _held_up_by_the_tracker = self.askers().join(ASKERS_JOIN_MAX);
    }

    /// The device that a first login names.
    pub(super) fn introduction(&self) -> DeviceRequest {
        let label = self.options.device.label.clone().unwrap_or_else(|| label_of(&host_name()));
        DeviceRequest { label, scopes: self.options.device.scopes.iter().map(ToString::to_string).collect() }
    }

    /// The device that a further login names. Label and scopes stay unless they are set anew.
    pub(super) fn introduction_again(&self) -> Result<DeviceRequest, TrackerError> {
        let mut introduced = self.introduction();
        if let Some(known) = self.session.current()?.and_then(|credentials| credentials.device) {
            if self.options.device.label.is_none() && !known.label.is_empty() {
                introduced.label = known.label;
            }
            if introduced.scopes.is_empty() {
                introduced.scopes = known.scopes.iter().map(ToString::to_string).collect();
            }
        }
        Ok(introduced)
    }

    /// Distinguishes a tracker without devices from one that does not know the device.
    fn without_devices(&self, error: TrackerError) -> TrackerError {
        match error {
            error if error.lacks_call("unknown_device") => {
                TrackerError::NoDevices { url: self.http.first_url().to_owned() }
            }
            error => error,
        }
    }
}

fn device(body: DeviceBody) -> Result<Device, TrackerError> {
    let id = body.device_id.parse().map_err(|e| TrackerError::Malformed(format!("device_id: {e}")))?;
    let DeviceBody { label, scopes, created_at, seen_at, current, .. } = body;
    Ok(Device { id, label, scopes, created_at, seen_at, is_current: current })
}

fn host_name() -> String {
    let told = std::fs::read_to_string(HOST_NAME_FILE).ok().or_else(|| std::env::var("HOSTNAME").ok());
    told.unwrap_or_default()
}

/// Makes a label that trackers accept of any name.
fn label_of(name: &str) -> String {
    let mut label: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    label.truncate(label.floor_char_boundary(LABEL_BYTES_MAX));
    if label.is_empty() { LABEL_OF_NAMELESS.to_owned() } else { label }
}

/// Returns true if trackers accept this label.
pub(crate) fn is_label(text: &str) -> bool {
    !text.is_empty() && text.len() <= LABEL_BYTES_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_makes_a_label_whatever_it_is() {
        let long = "ü".repeat(LABEL_BYTES_MAX);
        for (name, expected) in [
            ("laptop\n", "laptop"),
            (" a\tb ", "ab"),
            ("", LABEL_OF_NAMELESS),
            ("\0\n", LABEL_OF_NAMELESS),
            (long.as_str(), &long[..LABEL_BYTES_MAX]),
        ] {
            assert_eq!(label_of(name), expected);
            assert!(is_label(&label_of(name)));
        }
        assert!(!is_label(&long) && !is_label("") && !is_label("a\nb"));
    }
}
