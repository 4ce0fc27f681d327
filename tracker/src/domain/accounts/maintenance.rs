//! The thread "accounts": reads what other trackers or commands on this database have changed (suspended accounts, revoked
//! devices, access policies), deletes old rows, and reloads certificate files that changed.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use peernet_engine::time::UnixMillis;
use peernet_threads::Blocking;

use super::Accounts;
use crate::domain::access::AccessControl;
use crate::ops::log;
use crate::store::StoreError;

/// The interval at which changes are read. With the time that a read takes, they count within the 5 s that are promised.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// The interval at which old rows are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Runs until `stop` is disconnected.
pub fn run(accounts: &Accounts, access: &AccessControl, stop: &Receiver<()>) {
    let mut maintenance = Maintenance::default();
    while stop.recv_timeout(REFRESH_EVERY) == Err(RecvTimeoutError::Timeout) {
        maintenance.round(accounts, access, Instant::now());
    }
}

/// The state of the thread.
#[derive(Debug)]
pub(super) struct Maintenance {
    pruned_at: Option<Instant>,
    /// Whether the last round could read the store. A failure is logged when this changes.
    store_answers: bool,
    /// Whether the last reload of certificates worked.
    certificates_load: bool,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self { pruned_at: None, store_answers: true, certificates_load: true }
    }
}

impl Maintenance {
    /// Reads the changes of others, and deletes old rows once per [`PRUNE_EVERY`].
    pub(super) fn round(&mut self, accounts: &Accounts, access: &AccessControl, now: Instant) {
        let blocking = Blocking::declare();
        let refreshed = accounts.refresh(&blocking).and_then(|()| access.refresh(&blocking));
        if let Err(error) = &refreshed
            && self.store_answers
        {
            let what = "cannot read suspended accounts, revoked devices and access policies; trying again";
            log::warn("accounts", what, &[("why", error)]);
        }
        self.store_answers = refreshed.is_ok();
        accounts.reload_certificates(&mut self.certificates_load);
        let is_due = self.pruned_at.is_none_or(|at| now.saturating_duration_since(at) >= PRUNE_EVERY);
        if self.store_answers && is_due {
            self.pruned_at = Some(now);
            accounts.prune_audit_log(&blocking);
            accounts.prune_devices(&blocking);
        }
    }
}

impl Accounts {
    /// Reads suspended accounts and revoked devices. While the store does not answer, what was read before counts.
    pub fn refresh(&self, blocking: &Blocking) -> Result<(), StoreError> {
        let store = self.services.database.store(blocking);
        let ended_before = self.outlived();
        self.suspended.replace(store.suspended()?);
        self.revoked.add(store.revoked_devices(ended_before)?);
        self.revoked.forget(ended_before);
        Ok(())
    }

    /// The time before which a revoked device left nothing that still works: neither a certificate nor an access token.
    fn outlived(&self) -> UnixMillis {
        self.now().minus(self.settings.certificate_lifetime.max(self.services.keys.device_lifetime()))
    }

    /// Reloads certificate files that changed. If they cannot be used, the previous ones stay in force, and the log says so
    /// once; `load` is whether the last reload worked.
    fn reload_certificates(&self, load: &mut bool) {
        let authority = &self.services.authority;
        let reloaded = authority.refresh();
        match &reloaded {
            Ok(true) => log::info("accounts", "certificates reloaded", &[("authority", &authority.fingerprint())]),
            Err(error) if *load => {
                let what = "changed certificates cannot be used; the previous ones stay in force";
                log::warn("accounts", what, &[("why", error)]);
            }
            Ok(false) | Err(_) => {}
        }
        *load = reloaded.is_ok();
    }

    /// Deletes rows of the audit log that are older than the operator keeps them. A failure is logged and tried again later.
    pub fn prune_audit_log(&self, blocking: &Blocking) {
        let Some(age_max) = self.settings.audit_log_age_max else { return };
        let before = self.now().minus(age_max);
        match self.services.database.store(blocking).prune_audit_log(before) {
            Ok(0) => {}
            Ok(rows) => log::info("accounts", "deleted old rows of the audit log", &[("rows", &rows)]),
            Err(error) => log::warn("accounts", "cannot delete old rows of the audit log", &[("why", &error)]),
        }
    }

    /// Deletes devices that ended so long ago that nothing of them works. A failure is logged and tried again later.
    pub fn prune_devices(&self, blocking: &Blocking) {
        let before = self.outlived();
        match self.services.database.store(blocking).prune_devices(before) {
            Ok(0) => {}
            Ok(rows) => log::info("accounts", "deleted devices that ended long ago", &[("rows", &rows)]),
            Err(error) => log::warn("accounts", "cannot delete devices that ended long ago", &[("why", &error)]),
        }
    }
}
