//! Carries out the operator's commands and turns what came of them into lines and exit codes.

use std::path::Path;

use peernet_engine::ids::PeerId;

use super::arguments::AdminCommand;
use super::{EXIT_FAILED, EXIT_NO, EXIT_OK, EXIT_USAGE, complain, say};
use crate::admin::doctor::{self, Verdict};
use crate::admin::{self, AdminError};
use crate::boot::app::system_clock;
use crate::boot::config::{Config, ConfigError};
use crate::store::registry::{AccountQuery, AuditQuery};

pub(super) fn run(command: AdminCommand, config: &Config) -> i32 {
    match carry_out(command, config) {
        Ok(text) => say(&text),
        Err(error) => complain(code_of(&error), &error),
    }
}

fn code_of(error: &AdminError) -> i32 {
    match error {
        AdminError::Usage(_) => EXIT_USAGE,
        AdminError::No(_) => EXIT_NO,
        AdminError::Failed(_) => EXIT_FAILED,
    }
}

fn carry_out(command: AdminCommand, config: &Config) -> admin::Result<String> {
    let now = system_clock();
    let store = || admin::open(config);
    let after = |id: Option<String>, flag| id.map(|id| peer_id(&id, flag)).transpose();
    match command {
        AdminCommand::Users { matching, limit, after: id, json } => {
            admin::list_accounts(&*store()?, &AccountQuery { matching, limit, after: after(id, "--after")? }, json)
        }
        AdminCommand::Show { account, json } => admin::show(&*store()?, now, &account, json),
        AdminCommand::Suspend { account, reason } => admin::suspend(&*store()?, now, &account, &reason),
        AdminCommand::Resume { account } => admin::resume(&*store()?, now, &account),
        AdminCommand::Revoke { account } => admin::revoke(&*store()?, now, &account),
        AdminCommand::CreateInvite { uses, days, note, json } => {
            let new = admin::NewInvite { uses, days, note };
            let fingerprint = admin::fingerprint(config);
            let (out, remark) = admin::create_invite(&*store()?, now, &new, fingerprint.as_deref(), json)?;
            if !remark.is_empty() {
                complain(EXIT_OK, &remark);
            }
            Ok(out)
        }
        AdminCommand::ListInvites { json } => admin::list_invites(&*store()?, now, json),
        AdminCommand::RevokeInvite { id } => admin::revoke_invite(&*store()?, now, &id),
        AdminCommand::Audit { account, limit, json } => {
            admin::list_audit(&*store()?, &AuditQuery { account: after(account, "--account")?, limit }, json)
        }
        AdminCommand::Backup { file } => admin::backup(config, Path::new(&file)),
        AdminCommand::ShowAuthority { json, pem } => admin::show_authority(config, json, pem),
        AdminCommand::IssueForProxy { names, days } => admin::issue_for_proxy(config, &names, days),
        AdminCommand::RotateAuthority => admin::rotate_authority(config),
        AdminCommand::Restore { file } => admin::restore(config, now, Path::new(&file)),
    }
}

fn peer_id(text: &str, flag: &str) -> admin::Result<PeerId> {
    text.parse().map_err(|error| AdminError::Usage(format!("{flag}: {error}")))
}

/// `doctor`, also for a configuration that was refused.
pub(super) fn examine(config: Result<&Config, &ConfigError>, json: bool) -> i32 {
    let report = doctor::examine(config, system_clock());
    say(&if json { report.to_json().to_string() } else { report.to_string() });
    match report.verdict() {
        _ if !report.store_read => EXIT_FAILED,
        Verdict::Fail => EXIT_NO,
        _ => EXIT_OK,
    }
}
