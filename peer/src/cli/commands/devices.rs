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

#[cfg(test)]
mod tests {
    use super::*;

    fn device(label: &str, scopes: &[&str], is_current: bool) -> Device {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        let id = peernet_engine::ids::DeviceId::from_random([1; 16]);
        // Times to come count as now, so the rows do not depend on the clock.
        Device { id, label: label.to_owned(), scopes, created_at: u64::MAX, seen_at: u64::MAX, is_current }
    }

    #[test]
    fn a_device_is_one_row_of_aligned_columns() {
        let id = peernet_engine::ids::DeviceId::from_random([1; 16]);
        let head = row(["DEVICE", "LABEL", "SCOPES", "CREATED", "SEEN"]);
        for (label, scopes, is_current, expected) in [
            (
                "laptop",
                &["read", "share"][..],
                false,
                "laptop                    read,share        just now      just now",
            ),
            ("", &[], true, "                                            just now      just now  (this one)"),
            (
                "a label of more than twenty-four characters",
                &["read", "share", "admin"],
                false,
                "a label of more than twe  read,share,admin  just now      just now",
            ),
            (
                "\u{1b}[2J\u{202e}",
                &["\n"],
                false,
                "\u{fffd}[2J\u{fffd}                     \u{fffd}                 just now      just now",
            ),
        ] {
            let found = device_row(&device(label, scopes, is_current));
            assert_eq!(found, format!("{id}  {expected}"), "{label:?}");
            let column = |text: &str, word: &str| text.split_once(word).map(|(before, _)| before.chars().count());
            assert_eq!(column(&found, "just now"), column(&head, "CREATED"));
        }
    }

    #[test]
    fn programs_read_a_device_as_the_tracker_names_it() {
        let device = device("\u{1b}lab", &["read"], true);
        let expected = json!({
            "device_id": device.id.to_string(),
            "label": "\u{1b}lab",
            "scopes": ["read"],
            "created_at": u64::MAX,
            "seen_at": u64::MAX,
            "current": true,
        });
        assert_eq!(device_json(&device), expected);
    }
}
