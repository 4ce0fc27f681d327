//! Common parts of `register`, `login` and `password`.

use peernet_engine::ids::PeerId;
use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::discovery::tracker::TrackerError;
use crate::node::{Builder, Node};

/// The environment variable that may hold the password.
pub(super) const PASSWORD_VARIABLE: &str = "PEERNET_PASSWORD";

/// Sets the name of this machine among the account's devices, if one was typed.
pub(super) fn labelled(builder: Builder, label: Option<&str>) -> Builder {
    match label {
        Some(label) => builder.device_label(label),
        None => builder,
    }
}

/// Prints the result of a new login; `what` says how it came about.
pub(super) fn report_login(context: &Context, node: &Node, peer: PeerId, what: &str) -> Result<Exit, Failure> {
    let account = node.credentials()?;
    let device = account.as_ref().and_then(|account| account.device.as_ref());
    let device_id = device.map(|device| device.id.to_string());
    let address = account.as_ref().and_then(|account| account.address.clone());
    let fingerprint = node.ca_fingerprint()?.map(|fingerprint| fingerprint.to_string());
    if fingerprint.is_none() {
        context
            .output
            .warn("the tracker issued no certificate: without --allow-plaintext nothing can be shared or downloaded");
    }
    let tracker = node.tracker_url();
    let programs = json!({
        "peer_id": peer.to_string(),
        "tracker": tracker,
        "address": address,
        "ca_fingerprint": fingerprint,
        "device_id": device_id,
    });
    context.output.result(&format!("{what} as {peer} at {tracker}"), &programs);
    Ok(Exit::Ok)
}

/// The failure of a command that needs an account where there is none.
pub(super) fn not_logged_in() -> Failure {
    TrackerError::NotLoggedIn.into()
}
