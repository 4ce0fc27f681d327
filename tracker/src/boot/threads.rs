//! The threads of a tracker, except those of the door, the operations listener and the bcrypt pool: spawned, named and
//! joined here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_threads::{Group, Stragglers};

use crate::boot::app::App;
use crate::domain::swarm::JournalLoop;
use crate::domain::swarm::dialback;
use crate::domain::swarm::maintenance::Maintenance;
use crate::domain::{accounts, economy, swarm};
use crate::ops::log;
use crate::store::{StoreError, Write};
use crate::writer::WriterLoop;

/// The longest time for each group of threads to end.
const JOIN_MAX: Duration = Duration::from_secs(20);

/// The receiving ends of the threads.
pub(super) struct Inboxes {
    pub(super) writer: WriterLoop,
    pub(super) journal: JournalLoop,
    pub(super) reputation: economy::Inbox,
    pub(super) dialback: dialback::Inbox,
}

/// The running threads, in the order in which they are stopped.
pub(super) struct Threads {
    writer: Group,
    reputation: Group,
    reputation_stop: Sender<()>,
    background: Group,
    background_stop: Sender<()>,
    /// The result of the first exchange with the other trackers; `None` where there can be none.
    exchanged: Option<Receiver<Result<(), StoreError>>>,
    journal: Group,
}

impl Threads {
    /// Spawns and names all threads.
    pub(super) fn start(app: &Arc<App>, inboxes: Inboxes) -> io::Result<Self> {
        // Nothing is ever sent on the stop channels: disconnecting them is the message.
        let (reputation_stop, reputation_stopped) = bounded(1);
        let (background_stop, background_stopped) = bounded(1);
        let mut threads = Self {
            writer: Group::default(),
            reputation: Group::default(),
            reputation_stop,
            background: Group::default(),
            background_stop,
            exchanged: None,
            journal: Group::default(),
        };
        let journal_loop = inboxes.journal;
        threads.journal.spawn("journal", move || journal_loop.run())?;
        let (writer_app, writer_loop) = (Arc::clone(app), inboxes.writer);
        threads.writer.spawn("writer", move || {
            let app = writer_app;
            writer_loop.run(|batch: &[Write], durability| {
                let _timed = app.metrics.commits().start_timer();
                app.store.write((app.clock)(), batch, durability)
            });
        })?;
        let inbox = inboxes.reputation;
        threads.reputation.spawn("reputation", move || economy::run(inbox, &reputation_stopped))?;
        threads.spawn_background(app, inboxes.dialback, &background_stopped)?;
        Ok(threads)
    }

    fn spawn_background(&mut self, app: &Arc<App>, inbox: dialback::Inbox, stop: &Receiver<()>) -> io::Result<()> {
        let (swarm_app, swarm_stop) = (Arc::clone(app), stop.clone());
        self.background.spawn("swarm", move || {
            let app = swarm_app;
            let store = app.store.as_ref();
            let maintenance = Maintenance { swarm: &app.swarm, journal: &app.journal, store, clock: app.clock };
            maintenance.run(&swarm_stop, || app.proxies.refresh());
        })?;
        if app.store.exchange().is_some() {
            let (begun, exchanged) = bounded(1);
            self.exchanged = Some(exchanged);
            let (app, stop) = (Arc::clone(app), stop.clone());
            self.background.spawn("exchange", move || {
                let exchange = app.store.exchange().expect("it was there a moment ago");
                swarm::exchange::run(&app, exchange, &begun, &stop);
            })?;
        }
        let (accounts_app, accounts_stop) = (Arc::clone(app), stop.clone());
        self.background.spawn("accounts", move || {
            accounts::maintenance::run(&accounts_app.accounts, &accounts_app.access, &accounts_stop);
        })?;
        let (readiness_app, readiness_stop) = (Arc::clone(app), stop.clone());
        self.background.spawn("readiness", move || {
            let app = readiness_app;
            app.readiness.watch(|| app.store.ping(), &readiness_stop);
        })?;
        if app.config.dialback {
            let (app, stop) = (Arc::clone(app), stop.clone());
            self.background.spawn("dialback", move || dialback::run(&app.swarm, &inbox, &stop))?;
        }
        Ok(())
    }

    /// Waits until this tracker knows the leases of the others. Each call to the database has a timeout of its own.
    pub(super) fn wait_for_exchange(&self) -> Result<(), StoreError> {
        let ended = |_| Err(StoreError::Failed("the thread of the exchange ended".into()));
        self.exchanged.as_ref().map_or(Ok(()), |exchanged| exchanged.recv().unwrap_or_else(ended))
    }

    /// Stops the threads in order. The writer comes first: the door is closed, so no new writes come. The journal comes
    /// last, because the exchange writes to it. Returns whether all ended in time.
    pub(super) fn stop(self, app: &App) -> bool {
        app.database.writer.close();
        let writer = ended("writer", self.writer.join(JOIN_MAX));
        drop(self.reputation_stop);
        let reputation = ended("reputation", self.reputation.join(JOIN_MAX));
        drop(self.background_stop);
        let background = ended("background", self.background.join(JOIN_MAX));
        app.journal.close();
        let journal = ended("journal", self.journal.join(JOIN_MAX));
        let passwords = ended("bcrypt", app.passwords.stop(JOIN_MAX));
        journal && writer && reputation && background && passwords
    }
}

fn ended(group: &str, result: Result<(), Stragglers>) -> bool {
    if let Err(stragglers) = &result {
        log::error("server", "threads did not end", &[("group", &group), ("threads", stragglers)]);
    }
    result.is_ok()
}
