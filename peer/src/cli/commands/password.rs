//! `password`: changes the account's password.

use crate::cli::account::{PASSWORD_VARIABLE, labelled, not_logged_in, report_login};
use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::secrets;

command! {
    /// Change the account's password. All other devices of the account are logged out.
    #[argh(
        subcommand,
        name = "password",
        example = "peernet password\npeernet password --password-file old.txt --new-password-file new.txt"
    )]
    pub(crate) struct Password [tracker, device_label] {
        /// a file whose first line is the current password
        #[argh(option, arg_name = "file")]
        password_file: Option<String>,
        /// a file whose first line is the new password
        #[argh(option, arg_name = "file")]
        new_password_file: Option<String>,
    }
}

impl Run for Password {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let builder = context.builder(self.tracker_options())?.passing_shares();
        let node = labelled(builder, self.device_label.as_deref()).build()?;
        let account = node.credentials()?.ok_or_else(not_logged_in)?;
        let current = secrets::Password {
            option: None,
            file: self.password_file.as_deref(),
            variable: PASSWORD_VARIABLE,
            prompt: "Current password",
            confirm: false,
        };
        let current = current.read(&context.output)?;
        let new = secrets::Password {
            option: None,
            file: self.new_password_file.as_deref(),
            variable: "PEERNET_NEW_PASSWORD",
            prompt: "New password",
            confirm: true,
        };
        let new = new.read(&context.output)?;
        node.change_password(&current, &new)?;
        report_login(context, &node, account.peer_id, "password changed")
    }
}
