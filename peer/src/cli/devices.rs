//! `logout`, `devices`, `devices revoke`.

use serde_json::{Value, json};

use super::args::{Devices, DevicesAction, Logout, Revoke};
use super::context::{Context, Way};
use super::exit::{Exit, Failure};
use super::output::shown;
use super::since::ago;
use crate::discovery::tracker::{AtTracker, Device, LoggedOut};
use crate::home::HomeLock;

/// The widest label that is shown whole in a row.
const LABEL_CHARS_MAX: usize = 24;

pub(super) fn logout(context: &Context, typed: &Logout) -> Result<Exit, Failure> {
    // Which tracker that is may be known by the account only.
    if !context.home.credentials().path().exists() {
        return Ok(nobody(context));
    }
    let node = context.asking_node(typed.way())?;
    let ended = if typed.local { node.logout_here()? } else { node.logout()? };
    let Some(ended) = ended else { return Ok(nobody(context)) };
    if HomeLock::is_taken(&context.home) {
        context.output.warn("a daemon still serves from this folder: it is logged out as well, so stop it");
    }
    told(context, node.tracker_url(), ended)
}

/// Twice is as good as once.
fn nobody(context: &Context) -> Exit {
    let programs = json!({"peer_id": null, "device_id": null, "ended_at_tracker": false});
    context.output.result("nobody was logged in here", &programs);
    Exit::Ok
}

/// What the tracker knows of the end.
fn told(context: &Context, tracker: &str, ended: LoggedOut) -> Result<Exit, Failure> {
    let LoggedOut { account, device, at_tracker } = ended;
    let device = device.map(|device| device.to_string());
    let is_ended = at_tracker == AtTracker::Ended;
    match at_tracker {
        AtTracker::Ended => {}
        AtTracker::NotTold => context.output.note(&goes_on("the tracker was not told", device.as_deref())),
        AtTracker::GoodUntil(_) => context.output.warn(
            "this login was from before there were devices, and its token works on for whoever has a copy: a change of the \
             password ends it",
        ),
        AtTracker::Failed(error) => {
            let why = goes_on(&error.to_string(), device.as_deref());
            return Err(Failure::from(error).saying(format!("logged out here and not at the tracker: {why}")));
        }
    }
    let programs = json!({"peer_id": account.to_string(), "device_id": device, "ended_at_tracker": is_ended});
    context.output.result(&format!("logged out {account} at {tracker}"), &programs);
    Ok(Exit::Ok)
}

fn goes_on(why: &str, device: Option<&str>) -> String {
    let device = device.unwrap_or("ID");
    format!(
        "{why}. Whoever has a copy of the state folder is still logged in; from another device of the account, \
         `peernet devices revoke {device}` ends that"
    )
}

pub(super) fn devices(context: &Context, typed: Devices) -> Result<Exit, Failure> {
    let outer = typed.way();
    match &typed.action {
        Some(DevicesAction::Revoke(revoke)) => end(context, either(revoke.way(), outer), revoke),
        None => list(context, outer),
    }
}

/// Options may stand before `revoke` or after it.
fn either<'a>(inner: Way<'a>, outer: Way<'a>) -> Way<'a> {
    Way {
        tracker: inner.tracker.or(outer.tracker),
        tls: inner.tls.or(outer.tls),
        allow_plaintext: inner.allow_plaintext || outer.allow_plaintext,
        ..inner
    }
}

fn list(context: &Context, way: Way<'_>) -> Result<Exit, Failure> {
    let devices = context.asking_node(way)?.devices()?;
    let head = row("DEVICE", "LABEL", "SCOPES", ["CREATED", "SEEN"]);
    let rows = devices.iter().map(device_row);
    let people: Vec<String> = std::iter::once(head).chain(rows).collect();
    let programs: Vec<Value> = devices.iter().map(device_json).collect();
    context.output.result(&people.join("\n"), &json!({"devices": programs}));
    Ok(Exit::Ok)
}

fn end(context: &Context, way: Way<'_>, typed: &Revoke) -> Result<Exit, Failure> {
    let id = typed.id.parse().map_err(|error| Failure::usage(format!("{}: {error}", typed.id)))?;
    let node = context.asking_node(way)?;
    node.revoke_device(id)?;
    if node.account()?.and_then(|account| account.device).is_some_and(|own| own.id == id) {
        context.output.note("this was the device you are at: `peernet logout` removes what is left of it here");
    }
    context.output.result(&format!("{id} is logged out"), &json!({"device_id": id.to_string(), "status": "revoked"}));
    Ok(Exit::Ok)
}

fn device_row(device: &Device) -> String {
    let label: String = shown(&device.label).chars().take(LABEL_CHARS_MAX).collect();
    let scopes = shown(&device.scopes.join(","));
    let (created, seen) = (ago(device.created_at), ago(device.seen_at));
    let row = row(&device.id.to_string(), &label, &scopes, [&created, &seen]);
    if device.is_current { format!("{row}  (this one)") } else { row }
}

fn row(id: &str, label: &str, scopes: &str, [created, seen]: [&str; 2]) -> String {
    format!("{id:<36}  {label:<LABEL_CHARS_MAX$}  {scopes:<16}  {created:<12}  {seen:<12}").trim_end().to_owned()
}

fn device_json(device: &Device) -> Value {
    json!({
        "device_id": device.id.to_string(),
        "label": device.label,
        "scopes": device.scopes,
        "created_at": device.created_at,
        "seen_at": device.seen_at,
        "current": device.is_current,
    })
}
