//! `register`: makes an account at a tracker and logs in.

use crate::cli::account::{PASSWORD_VARIABLE, labelled, report_login};
use crate::cli::command::{Run, command};
use crate::cli::context::{Context, TrackerOptions, variable};
use crate::cli::exit::{Exit, Failure};
use crate::cli::secrets::{Password, first_line};
use crate::connect::HostPort;
use crate::node::NodeError;

/// The environment variable that may hold the invite code.
const INVITE_VARIABLE: &str = "PEERNET_INVITE";

command! {
    /// Make an account at a tracker and log in.
    #[argh(
        subcommand,
        name = "register",
        example = "peernet register --tracker https://tracker.example:8080\npeernet register --tracker https://tracker.example:8080 --address 192.0.2.7:50051 --password-file secret.txt\npeernet register --tracker https://tracker.example:8080 --invite-file code.txt --ca-fingerprint 0f343b09...2d4c5f60"
    )]
    pub(crate) struct Register [tracker, authority, device_label] {
        /// address at which other peers reach this one, host:port; it can be used to log in, too
        #[argh(option, arg_name = "host:port")]
        address: Option<String>,
        /// the password, 1 to 72 bytes; it shows in the process list, so prefer the prompt or --password-file
        #[argh(option, arg_name = "text")]
        password: Option<String>,
        /// a file whose first line is the password
        #[argh(option, arg_name = "file")]
        password_file: Option<String>,
        /// the invite code, for trackers that require one; it shows in the process list
        #[argh(option, arg_name = "code")]
        invite: Option<String>,
        /// a file whose first line is the invite code; /dev/stdin reads it from a pipe
        #[argh(option, arg_name = "file")]
        invite_file: Option<String>,
    }
}

impl Run for Register {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let invite = self.invite_code(context)?;
        let from_invite = invite.as_deref().and_then(fingerprint_of_invite);
        let tracker =
            TrackerOptions { ca_fingerprint: self.ca_fingerprint.as_deref().or(from_invite), ..self.tracker_options() };
        let mut builder = labelled(context.builder(tracker)?.passing_shares(), self.device_label.as_deref());
        if let Some(address) = &self.address {
            address.parse::<HostPort>().map_err(|e| Failure::usage(format!("--address {address}: {e}")))?;
            builder = builder.address(address);
        }
        let node = builder.build().map_err(explain_missing_tracker)?;
        let password = Password {
            option: self.password,
            file: self.password_file.as_deref(),
            variable: PASSWORD_VARIABLE,
            prompt: "Password for the new account",
            confirm: true,
        };
        let password = password.read(&context.output)?;
        let peer = match invite {
            Some(code) => node.register_invited(&password, &code)?,
            None => node.register(&password)?,
        };
        report_login(context, &node, peer, "registered and logged in")
    }
}

impl Register {
    /// Returns the invite code, if there is one. Most trackers require none, so there is no prompt for it.
    fn invite_code(&self, context: &Context) -> Result<Option<String>, Failure> {
        match (&self.invite, &self.invite_file) {
            (Some(_), Some(_)) => Err(Failure::usage("give either --invite or --invite-file")),
            (Some(code), None) => {
                context.output.note("other users see the invite code in the process list; --invite-file avoids that");
                Ok(Some(code.clone()))
            }
            (None, Some(file)) => first_line(file, "the invite code").map(Some),
            (None, None) => Ok(variable(INVITE_VARIABLE)),
        }
    }
}

/// Returns the fingerprint of the swarm's authority that trackers append to a code: `CODE@FINGERPRINT`.
fn fingerprint_of_invite(code: &str) -> Option<&str> {
    code.split_once('@').map(|(_, fingerprint)| fingerprint.trim())
}

fn explain_missing_tracker(error: NodeError) -> Failure {
    match error {
        NodeError::NotLoggedIn(_) => Failure::usage(
            "which tracker? Give --tracker URL, set PEERNET_TRACKER, or put `tracker = \"URL\"` into config.toml",
        ),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_may_carry_the_fingerprint_of_the_authority() {
        for (code, expected) in [
            ("code", None),
            ("code@0f", Some("0f")),
            ("code@ 0f \n", Some("0f")),
            ("code@0f@1e", Some("0f@1e")),
            ("@", Some("")),
            ("", None),
        ] {
            assert_eq!(fingerprint_of_invite(code), expected, "{code:?}");
        }
    }

    #[test]
    fn only_a_missing_tracker_is_explained_with_the_option() {
        let missing = explain_missing_tracker(NodeError::NotLoggedIn("which tracker?".to_owned()));
        assert!(missing.message.starts_with("which tracker? Give --tracker URL, set PEERNET_TRACKER"), "{missing}");
        let other = explain_missing_tracker(NodeError::Refused { code: None, message: "no".to_owned() });
        assert_eq!(other, Failure { exit: Exit::Refused, message: "no".to_owned() });
    }
}
