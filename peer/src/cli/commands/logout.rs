//! `logout`: ends this login and removes its secrets from this machine.

use serde_json::json;

use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::discovery::tracker::{AtTracker, LoggedOut};
use crate::home::HomeLock;

command! {
    /// Log out: end this login at the tracker, and remove its tokens, certificate and key from this machine.
    /// The list of shared files stays for the next login.
    #[argh(subcommand, name = "logout", example = "peernet logout\npeernet logout --local")]
    pub(crate) struct Logout [tracker] {
        /// only remove the login from this machine, without telling the tracker
        #[argh(switch)]
        local: bool,
    }
}

impl Run for Logout {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        // Only the account may know which tracker it is, so there may be no node to make without one.
        if !context.home.credentials().path().exists() {
            return Ok(not_logged_in(context));
        }
        let node = context.asking_node(self.tracker_options())?;
        let ended = if self.local { node.logout_here()? } else { node.logout()? };
        let Some(ended) = ended else { return Ok(not_logged_in(context)) };
        if HomeLock::is_taken(&context.home) {
            context.output.warn("the daemon of this folder is logged out as well; stop it");
        }
        report(context, node.tracker_url(), ended)
    }
}

/// Logging out twice succeeds, so that a script may repeat it.
fn not_logged_in(context: &Context) -> Exit {
    let programs = json!({"peer_id": null, "device_id": null, "ended_at_tracker": false});
    context.output.result("no account was logged in here", &programs);
    Exit::Ok
}

fn report(context: &Context, tracker: &str, ended: LoggedOut) -> Result<Exit, Failure> {
    let LoggedOut { account, device, at_tracker } = ended;
    let device = device.map(|device| device.to_string());
    let is_ended = at_tracker == AtTracker::Ended;
    match at_tracker {
        AtTracker::Ended => {}
        AtTracker::NotTold => context.output.note(&still_good("the tracker was not told", device.as_deref())),
        AtTracker::GoodUntil(_) => context.output.warn(
            "this login is older than devices, and copies of its token stay good: a change of the password ends it",
        ),
        AtTracker::Failed(error) => {
            let why = still_good(&error.to_string(), device.as_deref());
            return Err(Failure::from(error).saying(format!("logged out here and not at the tracker: {why}")));
        }
    }
    let programs = json!({"peer_id": account.to_string(), "device_id": device, "ended_at_tracker": is_ended});
    context.output.result(&format!("logged out {account} at {tracker}"), &programs);
    Ok(Exit::Ok)
}

/// Explains that the login works on at the tracker, and how to end it from elsewhere.
fn still_good(why: &str, device: Option<&str>) -> String {
    let device = device.unwrap_or("ID");
    format!(
        "{why}. A copy of the state folder is still logged in; `peernet devices revoke {device}` on another device of \
         the account ends that"
    )
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::{DeviceId, PeerId};

    use super::*;
    use crate::cancel::Cancel;
    use crate::cli::config::Config;
    use crate::cli::output::Output;
    use crate::discovery::tracker::TrackerError;
    use crate::home::Home;

    fn reported(at_tracker: AtTracker, device: Option<DeviceId>) -> Result<Exit, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let context = Context {
            // Standard output has the result of a failure only, so the tests print nothing there.
            output: Output::new(false, true).beside_a_stream(true),
            home: Home::at(folder.path()),
            config: Config::default(),
            cancel: Cancel::new(),
        };
        report(&context, "https://t:1", LoggedOut { account: PeerId::from_random([1; 16]), device, at_tracker })
    }

    #[test]
    fn only_a_tracker_that_could_not_be_told_fails_the_logout() {
        let device = DeviceId::from_random([2; 16]);
        for at_tracker in [AtTracker::Ended, AtTracker::NotTold, AtTracker::GoodUntil(0)] {
            assert_eq!(reported(at_tracker.clone(), Some(device)), Ok(Exit::Ok), "{at_tracker:?}");
        }
        let down = || TrackerError::Busy { url: "https://t:1".to_owned(), why: "503".to_owned() };
        for (error, device, exit, words) in [
            (down(), Some(device), Exit::Network, format!("`peernet devices revoke {device}`")),
            (down(), None, Exit::Network, "`peernet devices revoke ID`".to_owned()),
            (TrackerError::Malformed("x".to_owned()), None, Exit::Failure, "`peernet devices revoke ID`".to_owned()),
        ] {
            let expected = format!(
                "logged out here and not at the tracker: {error}. A copy of the state folder is still logged in; {words} on \
                 another device of the account ends that"
            );
            let failure = reported(AtTracker::Failed(error), device).unwrap_err();
            assert_eq!((failure.exit, failure.message), (exit, expected));
        }
    }
}
