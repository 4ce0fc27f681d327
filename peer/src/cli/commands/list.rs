//! `list`: lists the shares of this folder.

use serde_json::json;

use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::shares::{daemon_status, own_shares, row};

command! {
    /// List the files and directories that are shared from here.
    #[argh(subcommand, name = "list", example = "peernet list\npeernet list --json")]
    pub(crate) struct List [tracker] {}
}

impl Run for List {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let daemon = daemon_status(context);
        let shares = match &daemon {
            Some(daemon) => daemon.shares.clone(),
            None => own_shares(context, self.tracker_options())?,
        };
        let rows: Vec<String> = shares.as_array().into_iter().flatten().map(row).collect();
        let people = match (rows.is_empty(), &daemon) {
            (true, _) => "nothing is shared; `peernet share FILE` changes that".to_owned(),
            (false, Some(_)) => rows.join("\n"),
            (false, None) => format!("{}\nno daemon is running: `peernet daemon` serves these", rows.join("\n")),
        };
        context.output.result(&people, &json!({"shares": shares, "daemon": daemon.is_some()}));
        Ok(Exit::Ok)
    }
}
