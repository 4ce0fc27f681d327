//! The thread "accounts": learns who was suspended, which devices were ended and who may have which file, by whatever tracker or command on
//! this database, prunes what is old of both and of the audit log, and reads certificates again that changed.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use peernet_engine::time::UnixMillis;

use crate::app::App;
use crate::store::StoreError;
use crate::{log, policies};

/// How often they are read: with the time a request takes, well within the 5 s that are promised.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// How often what is old is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// The unit of the log's age.
const DAY: Duration = Duration::from_secs(86_400);

/// Reads who is suspended, which devices were ended and who may have which file. While the store does not answer, what was read before counts.
pub fn refresh(app: &App) -> Result<(), StoreError> {
    let (registry, ended_before) = (app.store.registry()?, outlived(app));
    app.accounts.suspended.replace(registry.suspended()?);
    app.accounts.revoked.add(registry.revoked_devices(ended_before)?);
    app.accounts.revoked.forget(ended_before);
    policies::refresh(app)
}

/// Of a device that ended before then nothing is left that works: neither certificate nor access token.
fn outlived(app: &App) -> UnixMillis {
    let certificates = Duration::from_secs(u64::from(app.config.certificate_hours) * 3_600);
    (app.clock)().minus(certificates.max(app.keys.device_lifetime()))
}

/// Runs until `stop` is disconnected.
pub fn run(app: &App, stop: &Receiver<()>) {
    let mut pruned_at: Option<Instant> = None;
    let (mut answers, mut certificates) = (true, true);
    while stop.recv_timeout(REFRESH_EVERY) == Err(RecvTimeoutError::Timeout) {
        let refreshed = refresh(app);
        if let (Err(error), true) = (&refreshed, answers) {
            log::warn(
                "accounts",
                "who is suspended, which devices were ended and who may have which file cannot be read; it is tried again",
                &[("why", error)],
            );
        }
        answers = refreshed.is_ok();
        refresh_certificates(app, &mut certificates);
        if answers && pruned_at.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
            pruned_at = Some(Instant::now());
            prune(app);
            prune_devices(app);
        }
    }
}

/// Notices files of certificates that changed. What was read before goes on where they cannot be read; that is said once.
fn refresh_certificates(app: &App, work: &mut bool) {
    let refreshed = app.authority.refresh();
    match &refreshed {
        Ok(true) => {
            log::info("accounts", "certificates were read again", &[("authority", &app.authority.fingerprint())]);
        }
        Err(error) if *work => {
            let what = "changed certificates cannot be used; what was read before goes on";
            log::warn("accounts", what, &[("why", error)]);
        }
        Ok(false) | Err(_) => {}
    }
    *work = refreshed.is_ok();
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

/// Deletes devices that ended so long ago that nothing of them works; what fails is logged and tried again later.
pub fn prune_devices(app: &App) {
    match app.store.registry().and_then(|registry| registry.prune_devices(outlived(app))) {
        Ok(0) => {}
        Ok(rows) => log::info("accounts", "devices that ended long ago were deleted", &[("rows", &rows)]),
        Err(error) => log::warn("accounts", "devices that ended long ago stay", &[("why", &error)]),
    }
}
