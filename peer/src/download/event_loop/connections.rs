//! The connections of a pass, and the sources that wait for one because the user's limit on connections is reached.
//!
//! The limit is ours. The scheduler must neither count on a waiting source nor blame it, so it is told that the source
//! is gone, and gets it back when a connection is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use peernet_engine::download::{Input, SourceId};

use super::{EventLoop, Verdict};
use crate::cancel::Cancel;
use crate::download::event::{ConnectionId, Event};
use crate::download::source::connection::{self, Connection, Shared};
use crate::download::stage_times::StageTimes;
use crate::grpc::{Command, CommandSender, commands};

/// The interval at which the scheduler hears that a download without any connection is held back by this node's own
/// limit.
const HELD_BACK_EVERY: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Connections {
    pub(super) shared: Shared,
    pub(super) events: Sender<Event>,
    pub(super) times: Arc<StageTimes>,
    /// Cancelled when the pass ends.
    stop: Cancel,
    open: BTreeMap<SourceId, Open>,
    next_number: u64,
    waiting: Waiting,
}

/// The event loop's end of a connection.
struct Open {
    number: u64,
    commands: CommandSender,
}

/// Sources without a free connection. At most as many as the download knows.
#[derive(Default)]
struct Waiting {
    /// Turned away since the scheduler was last fed. It does not know yet.
    turned_away: Vec<SourceId>,
    sources: BTreeSet<SourceId>,
    /// When the scheduler was last told that the download is held back.
    told_at: Option<Instant>,
}

impl Connections {
    pub(super) fn new(shared: Shared, events: Sender<Event>, stop: Cancel) -> Self {
        Self {
            shared,
            events,
            times: Arc::default(),
            stop,
            open: BTreeMap::new(),
            next_number: 0,
            waiting: Waiting::default(),
        }
    }

    /// Sends a command to the source's thread.
    pub(super) fn command(&mut self, source: SourceId, command: Command) {
        let sent = self.open.get_mut(&source).is_some_and(|open| open.commands.send(command));
        if !sent {
            // The thread has ended, and its `Ended` event is queued; or it never started, and the stall timer will
            // fire.
            self.open.remove(&source);
        }
    }

    /// Closes the connection to a source that the scheduler wants nothing of.
    pub(super) fn disconnect(&mut self, source: SourceId) {
        self.waiting.turned_away.retain(|waiting| *waiting != source);
        self.waiting.sources.remove(&source);
        self.open.remove(&source);
    }

    /// Forgets a connection whose thread has ended.
    pub(super) fn forget(&mut self, source: SourceId) {
        self.open.remove(&source);
    }

    /// Ends the threads of all connections.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }

    /// Returns true if this is the present connection to its source.
    pub(super) fn is_current(&self, id: ConnectionId) -> bool {
        self.open.get(&id.source).is_some_and(|open| open.number == id.number)
    }

    /// Returns true if there is a later connection to the same source.
    pub(super) fn is_superseded(&self, id: ConnectionId) -> bool {
        self.open.get(&id.source).is_some_and(|open| open.number != id.number)
    }

    /// Makes this the present connection to a source, without a thread.
    #[cfg(test)]
    pub(super) fn reconnected(&mut self, source: SourceId, number: u64) -> crate::grpc::CommandReceiver {
        let (sender, receiver) = commands();
        self.open.insert(source, Open { number, commands: sender });
        receiver
    }

    /// A sentence for the user about sources that wait.
    pub(super) fn note(&self) -> Option<String> {
        let count = self.waiting.sources.len();
        (count > 0).then(|| format!("{count} sources wait for a connection: the limit on connections is reached"))
    }
}

impl<'scope, 'env, 'a, 'c: 'env> EventLoop<'scope, 'env, 'a, 'c> {
    /// Starts the thread of a connection. An earlier one to the same source ends, because its commands are dropped.
    pub(super) fn connect(&mut self, source: SourceId) {
        let Some(known) = self.context.sources.get(source) else { return };
        let job = &self.context.job;
        let Some(connected) = job.throttle.connections().begin() else {
            self.connections.open.remove(&source);
            self.connections.waiting.turned_away.push(source);
            return;
        };
        let number = self.connections.next_number;
        self.connections.next_number += 1;
        let (sender, receiver) = commands();
        let connection = Connection {
            id: ConnectionId { source, number },
            source: known.source.clone(),
            dial: job.dial.clone(),
            grants: self.context.grants.clone(),
            shared: self.connections.shared.clone(),
            events: self.connections.events.clone(),
            commands: receiver,
            limits: job.limits.clone(),
            throttle: Arc::clone(&job.throttle),
            times: Arc::clone(&self.connections.times),
            _connected: connected,
            stop: self.connections.stop.clone(),
        };
        self.connections.open.insert(source, Open { number, commands: sender });
        let thread = Builder::new().name(format!("fetch-from-{}", source.0));
        if let Err(error) = thread.spawn_scoped(self.scope, move || connection::run(connection)) {
            self.connections.open.remove(&source);
            self.display.note = Some(format!("no thread for another source: {error}"));
        }
    }

    /// Takes the sources that got no connection from the scheduler, and gives one back where a connection is free.
    pub(super) fn connect_waiting(&mut self) -> Verdict {
        let mut verdict = None;
        while let Some(source) = self.connections.waiting.turned_away.pop() {
            self.connections.waiting.sources.insert(source);
            let decided = self.feed(Input::SourceGone { source });
            verdict = verdict.or(decided);
        }
        let Some(first) = self.connections.waiting.sources.first().copied() else { return verdict };
        let told_at = self.connections.waiting.told_at;
        if self.context.job.throttle.connections().has_room() {
            self.connections.waiting.sources.remove(&first);
            let decided = self.add_again(first);
            verdict = verdict.or(decided);
        } else if self.connections.open.is_empty() && told_at.is_none_or(|told| told.elapsed() >= HELD_BACK_EVERY) {
            self.connections.waiting.told_at = Some(Instant::now());
            let decided = self.feed(Input::HeldBack { source: first });
            verdict = verdict.or(decided);
        }
        verdict
    }

    fn add_again(&mut self, source: SourceId) -> Verdict {
        let known = self.context.sources.get(source)?;
        let protocol = known.source.protocol;
        let has = known.source.has.clone();
        let rank = u32::try_from(source.0).unwrap_or(u32::MAX);
        let added = self.feed(Input::SourceAdded { source, rank, protocol });
        added.or_else(|| self.feed(Input::SourceHas { source, has }))
    }
}
