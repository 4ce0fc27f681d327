//! Every thread of a tracker beside the door's, the operations listener's and the bcrypt pool's: spawned, named and ended here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_threads::{Group, Stragglers};

use crate::app::App;
use crate::store::{StoreError, Write};
use crate::swarm::JournalLoop;
use crate::writer::WriterLoop;
use crate::{accounts, dialback, log, reputation, swarm};

/// How long each group of threads has to end.
const JOIN_MAX: Duration = Duration::from_secs(20);

/// What the threads read from.
pub(super) struct Inboxes {
    pub(super) writer: WriterLoop,
    pub(super) journal: JournalLoop,
    pub(super) reputation: reputation::Inbox,
    pub(super) dialback: dialback::Inbox,
}

/// The running threads, in the order in which they are stopped.
pub(super) struct Threads {
    writer: Group,
    reputation: Group,
    reputation_stop: Sender<()>,
    background: Group,
    background_stop: Sender<()>,
    /// How the first exchange with the other trackers went; nothing where there can be none.
    exchanged: Option<Receiver<Result<(), StoreError>>>,
    journal: Group,
}

impl Threads {
    /// Spawns and names them all.
    pub(super) fn start(app: &Arc<App>, inboxes: Inboxes) -> io::Result<Self> {
        // Nothing is ever sent on the stop channels: their end is the message.
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
        threads.reputation.spawn("reputation", move || reputation::run(inbox, &reputation_stopped))?;
        threads.spawn_background(app, inboxes.dialback, &background_stopped)?;
        Ok(threads)
    }

    fn spawn_background(&mut self, app: &Arc<App>, inbox: dialback::Inbox, stop: &Receiver<()>) -> io::Result<()> {
        let (swarm_app, swarm_stop) = (Arc::clone(app), stop.clone());
        self.background.spawn("swarm", move || {
            let app = swarm_app;
            swarm::maintenance::run(&app, &swarm_stop);
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
        self.background.spawn("accounts", move || accounts::upkeep::run(&accounts_app, &accounts_stop))?;
        let (readiness_app, readiness_stop) = (Arc::clone(app), stop.clone());
        self.background.spawn("readiness", move || {
            let app = readiness_app;
            app.readiness.watch(&*app.store, &readiness_stop);
        })?;
        if app.config.dialback {
            let (app, stop) = (Arc::clone(app), stop.clone());
            self.background.spawn("dialback", move || dialback::run(&app.swarm, &inbox, &stop))?;
        }
        Ok(())
    }

    /// Waits until this tracker knows what the others do. Each call to the database that takes has a time-out of its own.
    pub(super) fn wait_for_exchange(&self) -> Result<(), StoreError> {
        let ended = |_| Err(StoreError::Failed("the thread of the exchange ended".into()));
        self.exchanged.as_ref().map_or(Ok(()), |exchanged| exchanged.recv().unwrap_or_else(ended))
    }

    /// Ends them, writer first: the door is closed, so nothing new comes. The journal last: the exchange writes to it. False when one did not end in time.
    pub(super) fn stop(self, app: &App) -> bool {
        app.writer.close();
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
