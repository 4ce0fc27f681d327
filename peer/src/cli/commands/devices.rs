//! `devices`: lists the devices that are logged in to the account, and logs one out.

use serde_json::{Value, json};

use crate::cli::command::{Run, command, subcommands};
use crate::cli::context::{Context, TrackerOptions};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::shown;
use crate::cli::since::ago;
use crate::discovery::tracker::Device;

/// The widest label that is shown whole in a row.
const LABEL_CHARS_MAX: usize = 24;

command! {
    /// List the devices that are logged in to the account, or log one out.
    #[argh(
        subcommand,
        name = "devices",
        example = "peernet devices\npeernet devices --json\npeernet devices revoke 123e4567-e89b-42d3-a456-426614174000"
    )]
    pub(crate) struct Devices [tracker] {} with DevicesAction
}

subcommands! {
    /// An action on the devices; without one the command lists them.
    pub(crate) enum DevicesAction { Revoke }
}

command! {
    /// Log out a device of the account, for example a lost one. Its tokens and certificates are refused from then on.
    #[argh(
        subcommand,
        name = "revoke",
        example = "peernet devices\npeernet devices revoke 123e4567-e89b-42d3-a456-426614174000"
    )]
    pub(crate) struct Revoke [tracker] {
        /// the device's id, as `peernet devices` shows it
        #[argh(positional)]
        id: String,
    }
}

impl Run for Devices {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let tracker = self.tracker_options();
        match &self.action {
            Some(DevicesAction::Revoke(typed)) => revoke(context, typed.tracker_options().or(tracker), typed),
            None => list(context, tracker),
        }
    }
}

fn list(context: &Context, tracker: TrackerOptions<'_>) -> Result<Exit, Failure> {
    let devices = context.asking_node(tracker)?.devices()?;
    let head = row(["DEVICE", "LABEL", "SCOPES", "CREATED", "SEEN"]);
    let rows = devices.iter().map(device_row);
    let people: Vec<String> = std::iter::once(head).chain(rows).collect();
    let programs: Vec<Value> = devices.iter().map(device_json).collect();
    context.output.result(&people.join("\n"), &json!({"devices": programs}));
    Ok(Exit::Ok)
}

fn revoke(context: &Context, tracker: TrackerOptions<'_>, typed: &Revoke) -> Result<Exit, Failure> {
    let id = typed.id.parse().map_err(|error| Failure::usage(format!("{}: {error}", typed.id)))?;
    let node = context.asking_node(tracker)?;
    node.revoke_device(id)?;
    if node.credentials()?.and_then(|account| account.device).is_some_and(|own| own.id == id) {
        context.output.note("this was the device you are at: `peernet logout` removes its files from this machine");
    }
    context.output.result(&format!("{id} is logged out"), &json!({"device_id": id.to_string(), "status": "revoked"}));
    Ok(Exit::Ok)
}

fn device_row(device: &Device) -> String {
    let label: String = shown(&device.label).chars().take(LABEL_CHARS_MAX).collect();
    let scopes = shown(&device.scopes.join(","));
    let id = device.id.to_string();
    let row = row([&id, &label, &scopes, &ago(device.created_at), &ago(device.seen_at)]);
    if device.is_current { format!("{row}  (this one)") } else { row }
}

fn row(cells: [&str; 5]) -> String {
    let [id, label, scopes, created, seen] = cells;
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
