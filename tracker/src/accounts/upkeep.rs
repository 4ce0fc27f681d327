//! The thread "accounts": learns who was suspended, by whatever tracker or command on this database, and prunes the audit log.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::app::App;
use crate::log;
use crate::store::StoreError;

/// How often the suspended are read: with the time a request takes, well within the 5 s that are promised.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// How often the audit log is pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// The unit of the log's age.
const DAY: Duration = Duration::from_secs(86_400);

/// Reads who is suspended. While the store does not answer, what was read before counts.
pub fn refresh(app: &App) -> Result<(), StoreError> {
    let ids = app.store.registry()?.suspended()?;
    app.accounts.suspended.replace(ids);
    Ok(())
}

/// Runs until `stop` is disconnected.
pub fn run(app: &App, stop: &Receiver<()>) {
    let mut pruned_at: Option<Instant> = None;
    let mut answers = true;
    while stop.recv_timeout(REFRESH_EVERY) == Err(RecvTimeoutError::Timeout) {
        let refreshed = refresh(app);
        if let (Err(error), true) = (&refreshed, answers) {
            log::warn("accounts", "who is suspended cannot be read; it is tried again", &[("why", error)]);
        }
        answers = refreshed.is_ok();
        if answers && pruned_at.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
            pruned_at = Some(Instant::now());
            prune(app);
        }
    }
}

/// Deletes what of the audit log is older than the setting says; what fails is logged and tried again later.
pub fn prune(app: &App) {
    let days = app.config.audit_days;
    if days == 0 {
        return;
    }
    let before = (app.clock)().minus(DAY * days);
    match app.store.registry().and_then(|registry| registry.prune_audit_log(before)) {
        Ok(0) => {}
        Ok(rows) => log::info("accounts", "old rows of the audit log were deleted", &[("rows", &rows)]),
        Err(error) => log::warn("accounts", "old rows of the audit log stay", &[("why", &error)]),
    }
}
