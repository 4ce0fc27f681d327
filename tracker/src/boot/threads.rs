//! The threads of a tracker, except those of the door, the operations listener and the bcrypt pool: spawned, named and
//! joined here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use peernet_threads::{Group, Stragglers};

use crate::boot::app::App;
use crate::commit::WriteLoop;
use crate::domain::swarm::dialback;
use crate::domain::{accounts, economy};
use crate::ops::log;
use crate::replication::LeaseLogLoop;
use crate::replication::maintenance::Maintenance;
use crate::replication::replicator::{self, Replicas};
use crate::store::StoreError;

/// The longest time for each group of threads to end.
const JOIN_MAX: Duration = Duration::from_secs(20);
/// The interval at which the addresses of trusted proxies are looked up again.
const PROXIES_EVERY: Duration = Duration::from_secs(5);

/// The receiving ends of the threads.
pub(super) struct Inboxes {
    pub(super) writer: WriteLoop,
    pub(super) lease_log: LeaseLogLoop,
    pub(super) reputation: economy::SettlementLoop,
    pub(super) dialback: dialback::Inbox,
}

/// The running threads, in the order in which they are stopped.
pub(super) struct Threads {
    writer: Group,
    reputation: Group,
    background: Group,
    background_stop: Sender<()>,
    /// Receives the result of the first round with the other trackers, where there can be other trackers.
    replicated: Option<Receiver<Result<(), StoreError>>>,
    lease_log: Group,
}

impl Threads {
    /// Spawns and names all threads.
    pub(super) fn start(app: &Arc<App>, inboxes: Inboxes) -> io::Result<Self> {
        // Nothing is ever sent on the stop channel: its end is the message.
        let (background_stop, background_stopped) = bounded(1);
        let mut threads = Self {
            writer: Group::default(),
            reputation: Group::default(),
            background: Group::default(),
            background_stop,
            replicated: None,
            lease_log: Group::default(),
        };
        let Inboxes { writer, lease_log, reputation, dialback } = inboxes;
        threads.lease_log.spawn("lease-log", move || lease_log.run())?;
        threads.writer.spawn("writer", move || writer.run())?;
        threads.reputation.spawn("reputation", move || economy::run(reputation))?;
        threads.spawn_background(app, dialback, &background_stopped)?;
        Ok(threads)
    }

    fn spawn_background(&mut self, app: &Arc<App>, inbox: dialback::Inbox, stop: &Receiver<()>) -> io::Result<()> {
        let swarm_app = Arc::clone(app);
        let swarm_stop = stop.clone();
        self.background.spawn("swarm", move || {
            let app = swarm_app;
            let store = app.store.as_ref();
            Maintenance { swarm: &app.swarm, lease_log: &app.lease_log, store, clock: app.clock }.run(&swarm_stop);
        })?;
        let proxies_app = Arc::clone(app);
        let proxies_stop = stop.clone();
        self.background.spawn("proxies", move || {
            repeat(PROXIES_EVERY, &proxies_stop, || proxies_app.proxies.refresh());
        })?;
        if app.store.replication().is_some() {
            let (started, replicated) = bounded(1);
            self.replicated = Some(replicated);
            let app = Arc::clone(app);
            let stop = stop.clone();
            self.background.spawn("replication", move || replicate(&app, &started, &stop))?;
        }
        let accounts_app = Arc::clone(app);
        let accounts_stop = stop.clone();
        self.background.spawn("accounts", move || {
            accounts::maintenance::run(&accounts_app.accounts, &accounts_app.access, &accounts_stop);
        })?;
        let readiness_app = Arc::clone(app);
        let readiness_stop = stop.clone();
        self.background.spawn("readiness", move || {
            let app = readiness_app;
            app.readiness.watch(|| app.store.ping(), &readiness_stop);
        })?;
        if app.config.dialback {
            let app = Arc::clone(app);
            let stop = stop.clone();
            self.background.spawn("dialback", move || dialback::run(&app.swarm, &inbox, &stop))?;
        }
        Ok(())
    }

    /// Waits until this tracker knows the leases of the other trackers. Each call to the database has a time-out of its own.
    pub(super) fn wait_for_replication(&self) -> Result<(), StoreError> {
        let ended = |_| Err(StoreError::Failed("the replication thread ended".into()));
        self.replicated.as_ref().map_or(Ok(()), |replicated| replicated.recv().unwrap_or_else(ended))
    }

    /// Stops the threads in order. The writer comes first: the door is closed, so no new writes come. The lease log
    /// comes last, because the replication writes to it. Returns whether all ended in time.
    pub(super) fn stop(self, app: &App) -> bool {
        app.database.writer.close();
        let writer = ended("writer", self.writer.join(JOIN_MAX));
        app.reputation.close();
        let reputation = ended("reputation", self.reputation.join(JOIN_MAX));
        drop(self.background_stop);
        let background = ended("background", self.background.join(JOIN_MAX));
        app.lease_log.close();
        let lease_log = ended("lease-log", self.lease_log.join(JOIN_MAX));
        let passwords = ended("bcrypt", app.passwords.stop(JOIN_MAX));
        lease_log && writer && reputation && background && passwords
    }
}

/// Runs `work` once per period until `stop` is disconnected.
fn repeat(period: Duration, stop: &Receiver<()>, mut work: impl FnMut()) {
    while stop.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
        work();
    }
}

fn replicate(app: &App, started: &Sender<Result<(), StoreError>>, stop: &Receiver<()>) {
    // The caller has asked whether the store can replicate.
    let Some(tables) = app.store.replication() else { return };
    let replicas = Replicas {
        swarm: &app.swarm,
        store: app.store.as_ref(),
        lease_log: &app.lease_log,
        writer: &app.database.writer,
        keys: &app.keys,
        clock: app.clock,
    };
    replicator::run(replicas, tables, started, stop);
}

fn ended(group: &str, result: Result<(), Stragglers>) -> bool {
    if let Err(stragglers) = &result {
        log::error("server", "threads did not end", &[("group", &group), ("threads", stragglers)]);
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_repeated_until_the_stop_channel_ends() {
        let (stop, stopped) = bounded(1);
        let mut stop = Some(stop);
        let mut rounds = 0;
        repeat(Duration::ZERO, &stopped, || {
            rounds += 1;
            if rounds == 3 {
                stop.take();
            }
        });
        assert_eq!(rounds, 3);
        repeat(PROXIES_EVERY, &stopped, || panic!("the channel has ended"));
    }

    #[test]
    fn a_group_that_does_not_end_in_time_is_reported() {
        let (finish, finished) = bounded::<()>(0);
        let mut slow = Group::default();
        slow.spawn("slow", move || assert!(finished.recv().is_err())).expect("a thread");
        assert!(!ended("slow", slow.join(Duration::ZERO)));
        drop(finish);
        let mut quick = Group::default();
        quick.spawn("quick", || {}).expect("a thread");
        assert!(ended("quick", quick.join(JOIN_MAX)));
    }
}
