//! Chunks of many small files, written behind the network by threads of their own.
//!
//! To make a file costs more than to write its few bytes. So whoever receives such a chunk gathers it in memory, within a
//! bound, and hands it over when it is right; the writers make its files meanwhile, several chunks at once. Where the
//! writers are behind, whoever brings more writes something itself. What was handed over counts as written: to read it, to
//! sync it or to say so in the journal waits until it is.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::{self, Scope, available_parallelism};

use peernet_engine::memory::Use;

use super::{Tree, lock};
use crate::memory::{Memory, Permit};

/// A chunk with pieces of fewer files is written as it comes.
const FILES_MIN: usize = 16;
/// More of them wait for each other in the file system.
const WRITERS_MAX: usize = 4;

/// What waits to be written, and who writes it.
#[derive(Default)]
pub(super) struct Behind {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Gathered>,
    /// Where what was handed over and is not in its files yet begins in the pack, and where it ends.
    unwritten: BTreeMap<u64, u64>,
    /// There are writers; without them nothing is gathered, and what was is written by whoever brings it.
    open: bool,
    /// The first error; nothing is written after it.
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

/// Bytes of a chunk in memory. Dropping it gives the memory back.
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

    /// Takes bytes that are next in the pack; false for any others.
    pub(crate) fn push(&mut self, at: u64, bytes: &[u8]) -> bool {
        let fits = at == self.at + self.bytes.len() as u64 && self.bytes.len() + bytes.len() <= self.len;
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// Where it begins in the pack, and what of it is there.
    pub(crate) fn so_far(&self) -> (u64, &[u8]) {
        (self.at, &self.bytes)
    }
}

/// The writers' threads, until it is dropped; they write what they were given before they end.
pub(crate) struct Writers<'a>(&'a Tree);

impl Drop for Writers<'_> {
    fn drop(&mut self) {
        lock(&self.0.behind.state).open = false;
        self.0.behind.changed.notify_all();
    }
}

/// A chunk is in its files, or never will be, also when a writer panics.
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
    /// Starts writers, where there are enough files for them.
    pub(crate) fn spawn_writers<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>) -> Writers<'env> {
        let count = available_parallelism().map_or(1, |n| n.get()).min(WRITERS_MAX);
        let count = if self.selected.file_count() < FILES_MIN { 0 } else { count };
        // Before they look for it.
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

    /// Memory for the chunk that begins `at` in the pack, if it shall be gathered and there is enough.
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

    /// Has all of a chunk, which is right, written soon.
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

    /// Comes back when everything that was handed over is in its files; an error if it never will be.
    pub(crate) fn finish_writing(&self) -> io::Result<()> {
        self.wait_until(|state| state.unwritten.is_empty()).result()
    }

    /// The same for a part of the pack, whatever became of it.
    pub(super) fn wait_until_written(&self, at: u64, end: u64) {
        drop(self.wait_until(|state| state.is_written(at, end)));
    }

    /// Writes meanwhile, so that it comes true whatever became of the writers.
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

    /// A writer's thread.
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
        // Whoever waits for the chunk may want its memory.
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
