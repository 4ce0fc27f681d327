//! The threads of a pass that are not connections: each is named, and joined when the pass ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender};
use peernet_engine::memory::Use;

use crate::download::FetchLimits;
use crate::download::event::Event;
use crate::download::pipeline::deliver::{self, Sink};
use crate::download::pipeline::hash::{self, Frontier, PIECE_BYTES, WholeHash};
use crate::download::pipeline::sync::{self, Syncer, Written};
use crate::download::pipeline::write::{self, WriteQueue, writes};
use crate::files::part::{Journal, Part};
use crate::memory::Memory;

/// The state that all of these threads use.
#[derive(Clone)]
pub(crate) struct Spawner<'scope, 'env> {
    pub(crate) scope: &'scope Scope<'scope, 'env>,
    pub(crate) part: Arc<Part>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) memory: Memory,
    pub(crate) events: Sender<Event>,
}

impl<'scope, 'env> Spawner<'scope, 'env> {
    fn spawn<T: Send + 'scope>(
        &self,
        name: &str,
        body: impl FnOnce() -> T + Send + 'scope,
    ) -> io::Result<ScopedJoinHandle<'scope, T>> {
        Builder::new().name(name.to_owned()).spawn_scoped(self.scope, body)
    }

    /// Spawns the thread that writes blocks. It ends when every handle of the queue is dropped.
    pub(crate) fn writer(&self) -> io::Result<WriteQueue> {
        let part = Arc::clone(&self.part);
        let events = self.events.clone();
        let (queue, queued) = writes(&self.memory);
        self.spawn("fetch-write", move || write::run(&part, &queued, &events))?;
        Ok(queue)
    }

    /// Spawns the thread that computes the hash of the whole file.
    pub(crate) fn hasher(&self, whole: WholeHash) -> io::Result<()> {
        let this = self.clone();
        let body = move || {
            let read_at = |buffer: &mut [u8], at: u64| this.part.storage().read_exact_at(buffer, at);
            hash::run(&read_at, &this.frontier, whole, &this.events);
        };
        self.spawn("fetch-hash", body).map(drop)
    }

    /// Spawns the thread that hands the bytes to a sink, in order.
    pub(crate) fn deliverer(&self, sink: Sink) -> io::Result<()> {
        let this = self.clone();
        let body = move || {
            // For the piece in its buffer. There is none when the pass ends before memory is free.
            let permit = this.memory.take(Use::Delivery, PIECE_BYTES, || this.frontier.is_stopped());
            let Some(_permit) = permit else { return };
            let read_at = |buffer: &mut [u8], at: u64| this.part.storage().read_exact_at(buffer, at);
            deliver::run(&read_at, &this.frontier, sink, &this.events);
        };
        self.spawn("fetch-deliver", body).map(drop)
    }

    /// Spawns the thread that syncs written chunks and then names them in the journal, which it returns.
    pub(crate) fn syncer(
        &self,
        journal: Journal,
        written: Receiver<Written>,
        skip_last: &'scope AtomicBool,
        limits: FetchLimits,
    ) -> io::Result<ScopedJoinHandle<'scope, Journal>> {
        let part = Arc::clone(&self.part);
        let events = self.events.clone();
        let body = move || {
            let syncer = Syncer { part: part.storage(), written, skip_last, events, limits: &limits };
            sync::run(&syncer, journal)
        };
        self.spawn("fetch-sync", body)
    }
}
