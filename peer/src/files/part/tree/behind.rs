//! Write-behind for chunks of many small files, with writer threads of its own.
//!
//! To create a file costs more than to write its few bytes. So the receiving thread gathers such a chunk in memory,
//! within a limit, and queues it when it is verified. The writers create its files, several chunks at once. If they
//! fall behind, a receiving thread that finds no memory writes a queued chunk itself. A queued chunk counts as written:
//! reading it, syncing it and recording it in the journal wait until it is.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::{self, Scope, available_parallelism};

use peernet_engine::memory::Use;

use super::{Tree, lock};
use crate::memory::{Memory, Permit};

/// A chunk with pieces of fewer files is written at once.
const FILES_MIN: usize = 16;
/// The largest number of writers. More would wait for each other in the file system.
const WRITERS_MAX: usize = 4;

/// The queue of gathered chunks, and the state of the writers.
#[derive(Default)]
pub(super) struct Behind {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Gathered>,
    /// The chunks that are queued or being written: start and end in the pack.
    unwritten: BTreeMap<u64, u64>,
    /// Whether there are writers. Without them no chunk is gathered, and the thread that queues one writes it.
    open: bool,
    /// The first error. No chunk is written after it.
    failed: Option<(io::ErrorKind, String)>,
}

impl State {
    fn is_written(&self, at: u64, end: u64) -> bool {
        self.unwritten.range(..end).next_back().is_none_or(|(_, unwritten_end)| *unwritten_end <= at)
    }

    fn result(&self) -> io::Result<()> {
        match &self.failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }
}

/// The bytes of a chunk in memory. Dropping it frees the memory.
pub(crate) struct Gathered {
    at: u64,
    len: usize,
    bytes: Vec<u8>,
    _permit: Permit,
}

impl Gathered {
    fn within(memory: &Memory, at: u64, len: usize) -> Option<Self> {
        let permit = memory.try_take(Use::Gathered, len)?;
        Some(Self { at, len, bytes: Vec::with_capacity(len), _permit: permit })
    }

    /// Appends the next bytes of the pack. Returns false for bytes of another place.
    pub(crate) fn push(&mut self, at: u64, bytes: &[u8]) -> bool {
        let fits = at == self.at + self.bytes.len() as u64 && self.bytes.len() + bytes.len() <= self.len;
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// Returns the chunk's offset in the pack, and its bytes so far.
    pub(crate) fn so_far(&self) -> (u64, &[u8]) {
        (self.at, &self.bytes)
    }
}

/// Keeps the writers running until it is dropped. They write all queued chunks before they end.
pub(crate) struct Writers<'a>(&'a Tree);

impl Drop for Writers<'_> {
    fn drop(&mut self) {
        lock(&self.0.behind.state).open = false;
        self.0.behind.changed.notify_all();
    }
}

/// Records the outcome of writing a chunk when it is dropped, also if the writer panics.
struct Finish<'a> {
    behind: &'a Behind,
    at: u64,
    result: io::Result<()>,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.behind.state);
        state.unwritten.remove(&self.at);
        if let Err(error) = &self.result {
            state.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
        }
        self.behind.changed.notify_all();
    }
}

impl Tree {
    /// Starts writers, if there are enough files for them.
    pub(crate) fn spawn_writers<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>) -> Writers<'env> {
        let count = available_parallelism().map_or(1, |n| n.get()).min(WRITERS_MAX);
        let count = if self.selected.file_count() < FILES_MIN { 0 } else { count };
        // The flag is set before the writers start, because they end when it is false.
        lock(&self.behind.state).open = count > 0;
        let spawned = (0..count).filter(|number| {
            let thread = thread::Builder::new().name(format!("fetch-files-{number}"));
            thread.spawn_scoped(scope, || self.write_behind()).is_ok()
        });
        let none = spawned.count() == 0;
        let writers = Writers(self);
        if none {
            lock(&self.behind.state).open = false;
        }
        writers
    }

    /// Reserves memory for the chunk at `at` of the pack. `None` if it is not to be gathered, or the limit is reached.
    pub(crate) fn gather(&self, at: u64, memory: &Memory) -> io::Result<Option<Gathered>> {
        {
            let state = lock(&self.behind.state);
            state.result()?;
            if !state.open {
                return Ok(None);
            }
        }
        let pack = &self.selected.collection.pack;
        let len = u64::from(pack.chunk_size).min(pack.size.0.saturating_sub(at));
        let many = self.layout.segments(at, len).nth(FILES_MIN - 1).is_some();
        if !many || !at.is_multiple_of(pack.chunk_size.into()) {
            return Ok(None);
        }
        loop {
            if let Some(gathered) = Gathered::within(memory, at, len as usize) {
                return Ok(Some(gathered));
            }
            let Some(other) = lock(&self.behind.state).waiting.pop_front() else { return Ok(None) };
            self.write_one(other);
        }
    }

    /// Queues a complete, verified chunk. Without writers, writes it on this thread.
    pub(crate) fn hand_over(&self, chunk: Gathered) {
        let mut state = lock(&self.behind.state);
        state.unwritten.insert(chunk.at, chunk.at + chunk.bytes.len() as u64);
        if state.open {
            state.waiting.push_back(chunk);
            self.behind.changed.notify_all();
        } else {
            drop(state);
            self.write_one(chunk);
        }
    }

    /// Waits until all queued chunks are written. Fails if one of them could not be.
    pub(crate) fn finish_writing(&self) -> io::Result<()> {
        self.wait_until(|state| state.unwritten.is_empty()).result()
    }

    /// Waits until no queued chunk overlaps a range of the pack. A chunk that failed is not waited for.
    pub(super) fn wait_until_written(&self, at: u64, end: u64) {
        drop(self.wait_until(|state| state.is_written(at, end)));
    }

    /// Waits for a condition, and writes queued chunks meanwhile. So it comes true even if all writers have ended.
    fn wait_until(&self, is_so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = lock(&self.behind.state);
        while !is_so(&state) {
            state = match state.waiting.pop_front() {
                Some(chunk) => {
                    drop(state);
                    self.write_one(chunk);
                    lock(&self.behind.state)
                }
                None => self.behind.wait(state),
            };
        }
        state
    }

    /// Runs a writer thread until the queue is closed and empty.
    fn write_behind(&self) {
        let mut state = lock(&self.behind.state);
        loop {
            state = match state.waiting.pop_front() {
                Some(chunk) => {
                    drop(state);
                    self.write_one(chunk);
                    lock(&self.behind.state)
                }
                None if state.open => self.behind.wait(state),
                None => return,
            };
        }
    }

    fn write_one(&self, chunk: Gathered) {
        let panicked = Err(io::Error::other("a thread that wrote files panicked"));
        let mut finish = Finish { behind: &self.behind, at: chunk.at, result: panicked };
        let failed = lock(&self.behind.state).failed.is_some();
        finish.result = if failed { Ok(()) } else { self.put(chunk.at, &chunk.bytes) };
        // The memory is freed first. A thread that is woken by the outcome may need it.
        drop(chunk);
    }
}

impl Behind {
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
