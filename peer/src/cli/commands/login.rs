//! `login`: logs in to an account that exists.

use crate::cli::account::{PASSWORD_VARIABLE, labelled, report_login};
use crate::cli::command::{Run, command};
use crate::cli::context::{Context, TrackerOptions};
use crate::cli::exit::{Exit, Failure};
use crate::cli::secrets::Password;
use crate::discovery::tracker::LoginName;
use crate::identity::Scope;
use crate::node::Node;

command! {
    /// Log in to an account that exists, or log in again.
    #[argh(
        subcommand,
        name = "login",
        example = "peernet login\npeernet login --tracker https://tracker.example:8080 --address 192.0.2.7:50051\npeernet login --peer-id 123e4567-e89b-42d3-a456-426614174000\npeernet login --device-label 'the lab' --scope read,share"
    )]
    pub(crate) struct Login [tracker, authority, device_label] {
        /// the account's registered address
        #[argh(option, arg_name = "host:port")]
        address: Option<String>,
        /// the account's id; by default the account last used here
        #[argh(option, arg_name = "uuid")]
        peer_id: Option<String>,
        /// the password; it shows in the process list, so prefer the prompt or --password-file
        #[argh(option, arg_name = "text")]
        password: Option<String>,
        /// a file whose first line is the password
        #[argh(option, arg_name = "file")]
        password_file: Option<String>,
        /// scopes of this login, with commas between the words: read (search and download), share, admin; by default all
        #[argh(option, arg_name = "words")]
        scope: Option<String>,
    }
}

impl Run for Login {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let tracker = TrackerOptions { ca_fingerprint: self.ca_fingerprint.as_deref(), ..self.tracker_options() };
        let scopes = scopes(self.scope.as_deref())?;
        let builder = labelled(context.builder(tracker)?.passing_shares(), self.device_label.as_deref());
        let node = builder.device_scopes(scopes.clone()).build()?;
        let name = login_name(&node, self.peer_id.as_deref(), self.address)?;
        let password = Password {
            option: self.password,
            file: self.password_file.as_deref(),
            variable: PASSWORD_VARIABLE,
            prompt: "Password",
            confirm: false,
        };
        let peer = node.login(&name, &password.read(&context.output)?)?;
        if !scopes.is_empty() && node.credentials()?.is_some_and(|account| account.device.is_none()) {
            context.output.warn("the tracker does not support --scope: this login may do everything");
        }
        report_login(context, &node, peer, "logged in")
    }
}

/// Reads `--scope`. An empty list stands for all scopes.
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
            .credentials()?
            .map(|account| LoginName::Peer(account.peer_id))
            .ok_or_else(|| Failure::usage("which account? Give --peer-id or --address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_words_with_commas_and_spaces_between_them() {
        use Scope::{Admin, Read, Share};
        for (typed, expected) in [
            (None, &[][..]),
            (Some("read"), &[Read]),
            (Some(" share , read"), &[Share, Read]),
            (Some("read,share,admin"), &[Read, Share, Admin]),
        ] {
            assert_eq!(scopes(typed).as_deref(), Ok(expected), "{typed:?}");
        }
        for (typed, word) in [("", ""), ("read,,share", ""), ("Read", "Read"), ("read share", "read share")] {
            let message =
                format!("--scope {word}: expected one or more of read, share and admin, with commas between them");
            assert_eq!(scopes(Some(typed)), Err(Failure { exit: Exit::Usage, message }), "{typed:?}");
        }
    }
}
