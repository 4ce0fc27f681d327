//! `register`, `login`, `password`.

use peernet_engine::ids::PeerId;
use serde_json::json;

use super::args::{Login, Password, Register};
use super::context::{Context, Way, variable};
use super::exit::{Exit, Failure};
use super::password::{Source, first_line};
use crate::discovery::tracker::{LoginName, Scope};
use crate::home::Credentials;
use crate::node::{Builder, Node};

const PASSWORD_VARIABLE: &str = "PEERNET_PASSWORD";
const INVITE_VARIABLE: &str = "PEERNET_INVITE";

pub(super) fn register(context: &Context, mut typed: Register) -> Result<Exit, Failure> {
    let invite = invite(context, typed.invite.take(), typed.invite_file.as_deref())?;
    let named = invite.as_deref().and_then(fingerprint_of_invite);
    let way = Way { ca_fingerprint: typed.ca_fingerprint.as_deref().or(named), ..typed.way() };
    let mut builder = labelled(context.builder(way)?.passing_shares(), typed.device_label.as_deref());
    if let Some(address) = &typed.address {
        address.parse::<crate::connect::HostPort>().map_err(|e| Failure::usage(format!("--address {address}: {e}")))?;
        builder = builder.address(address);
    }
    let node = builder.build().map_err(tracker_wanted)?;
    let password = Source {
        option: typed.password,
        file: typed.password_file.as_deref(),
        variable: PASSWORD_VARIABLE,
        prompt: "Password for the new account",
        confirm: true,
    };
    let password = password.read(&context.output)?;
    let peer = match invite {
        Some(code) => node.register_invited(&password, &code)?,
        None => node.register(&password)?,
    };
    report(context, &node, peer, "registered and logged in")
}

/// The invite code, where there is one. Most trackers want none, so it is never asked for.
fn invite(context: &Context, option: Option<String>, file: Option<&str>) -> Result<Option<String>, Failure> {
    match (option, file) {
        (Some(_), Some(_)) => Err(Failure::usage("give either --invite or --invite-file")),
        (Some(code), None) => {
            context.output.note(
                "an invite code on the command line shows in the process list; --invite-file keeps it to yourself",
            );
            Ok(Some(code))
        }
        (None, Some(file)) => first_line(file, "the invite code").map(Some),
        (None, None) => Ok(variable(INVITE_VARIABLE)),
    }
}

/// Trackers hand out codes with the fingerprint of their swarm's authority behind them: `CODE@FINGERPRINT`.
fn fingerprint_of_invite(code: &str) -> Option<&str> {
    code.split_once('@').map(|(_, fingerprint)| fingerprint.trim())
}

pub(super) fn login(context: &Context, typed: Login) -> Result<Exit, Failure> {
    let way = Way { ca_fingerprint: typed.ca_fingerprint.as_deref(), ..typed.way() };
    let scopes = scopes(typed.scope.as_deref())?;
    let builder = labelled(context.builder(way)?.passing_shares(), typed.device_label.as_deref());
    let node = builder.device_scopes(scopes.clone()).build()?;
    let name = login_name(&node, typed.peer_id.as_deref(), typed.address)?;
    let password = Source {
        option: typed.password,
        file: typed.password_file.as_deref(),
        variable: PASSWORD_VARIABLE,
        prompt: "Password",
        confirm: false,
    };
    let peer = node.login(&name, &password.read(&context.output)?)?;
    if !scopes.is_empty() && node.account()?.is_some_and(|account| account.device.is_none()) {
        context.output.warn("the tracker knows no scopes: this login is good for everything");
    }
    report(context, &node, peer, "logged in")
}

pub(super) fn password(context: &Context, typed: Password) -> Result<Exit, Failure> {
    let node = labelled(context.builder(typed.way())?.passing_shares(), typed.device_label.as_deref()).build()?;
    let account = node.account()?.ok_or_else(not_logged_in)?;
    let old = Source {
        option: None,
        file: typed.password_file.as_deref(),
        variable: PASSWORD_VARIABLE,
        prompt: "Password as it is",
        confirm: false,
    };
    let new = Source {
        option: None,
        file: typed.new_password_file.as_deref(),
        variable: "PEERNET_NEW_PASSWORD",
        prompt: "New password",
        confirm: true,
    };
    let (old, new) = (old.read(&context.output)?, new.read(&context.output)?);
    node.change_password(&old, &new)?;
    report(context, &node, account.peer_id, "password changed")
}

fn labelled(builder: Builder, label: Option<&str>) -> Builder {
    match label {
        Some(label) => builder.device_label(label),
        None => builder,
    }
}

/// None typed means all.
fn scopes(typed: Option<&str>) -> Result<Vec<Scope>, Failure> {
    let words = typed.into_iter().flat_map(|text| text.split(',')).map(str::trim);
    words.map(|word| word.parse().map_err(|error| Failure::usage(format!("--scope {word}: {error}")))).collect()
}

fn login_name(node: &Node, peer_id: Option<&str>, address: Option<String>) -> Result<LoginName, Failure> {
    match (peer_id, address) {
        (Some(_), Some(_)) => Err(Failure::usage("give either --peer-id or --address")),
        (Some(text), None) => Ok(LoginName::Peer(text.parse().map_err(|e| Failure::usage(format!("--peer-id: {e}")))?)),
        (None, Some(address)) => Ok(LoginName::Address(address)),
        (None, None) => node
            .account()?
            .map(|account| LoginName::Peer(account.peer_id))
            .ok_or_else(|| Failure::usage("which account? Give --peer-id or --address")),
    }
}

fn report(context: &Context, node: &Node, peer: PeerId, what: &str) -> Result<Exit, Failure> {
    let account = node.account()?;
    let device_id = account.as_ref().and_then(|account| account.device.as_ref()).map(|device| device.id.to_string());
    let address = account.and_then(|Credentials { address, .. }| address);
    let tracker = node.tracker_url();
    let people = format!("{what} as {peer} at {tracker}");
    let fingerprint = node.ca_fingerprint()?.map(|fingerprint| fingerprint.to_string());
    if fingerprint.is_none() {
        context
            .output
            .warn("the tracker issued no certificate: without --allow-plaintext nothing can be shared or downloaded");
    }
    let peer_id = peer.to_string();
    let programs = json!({
        "peer_id": peer_id,
        "tracker": tracker,
        "address": address,
        "ca_fingerprint": fingerprint,
        "device_id": device_id,
    });
    context.output.result(&people, &programs);
    Ok(Exit::Ok)
}

fn tracker_wanted(error: crate::error::NodeError) -> Failure {
    match error {
        crate::error::NodeError::NotLoggedIn(_) => Failure::usage(
            "which tracker? Give --tracker URL, set PEERNET_TRACKER, or put `tracker = \"URL\"` into config.toml",
        ),
        error => error.into(),
    }
}

pub(super) fn not_logged_in() -> Failure {
    crate::discovery::tracker::TrackerError::NotLoggedIn.into()
}
