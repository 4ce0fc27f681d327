//! The writing thread. Connections receive and hash, and this thread writes behind them, so that hashing and writing
//! overlap.
//!
//! The queue is bounded by its [`BUFFERS_MAX`] buffers. A connection that finds none free waits for the disk, which is
//! the back-pressure of a slow disk on the network. The bytes of the buffers count towards the process's memory.

use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use peernet_engine::ids::ChunkIndex;
use peernet_engine::memory::Use;

use crate::download::event::{ConnectionId, Event, EventLoopGone, send};
use crate::files::part::{Part, WriterId};
use crate::memory::{Memory, Permit};

/// The most blocks on their way to the disk, over all connections. A block is at most
/// [`peernet_protos::limits::BLOCK_BYTES_MAX`] long, and usually much shorter.
const BUFFERS_MAX: usize = 4;
/// The most bytes that a returned buffer keeps allocated.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// A block of a chunk that the connection has claimed.
pub(crate) struct Block {
    pub(crate) id: ConnectionId,
    pub(crate) writer: WriterId,
    pub(crate) chunk: ChunkIndex,
    /// Absolute position in the file.
    pub(crate) offset: u64,
    pub(crate) bytes: Buffer,
    /// Set with the block that completes a chunk whose hash is right.
    pub(crate) right: Option<Right>,
}

/// A verified chunk, of which the event loop hears when its last block is written.
pub(crate) struct Right {
    pub(crate) bytes: u32,
    pub(crate) took: Duration,
}

/// The connections' end of the queue: buffers out, blocks in. The thread ends when all handles are dropped.
#[derive(Clone)]
pub(crate) struct WriteQueue {
    blocks: Sender<Block>,
    free: Receiver<Vec<u8>>,
    back: Sender<Vec<u8>>,
    /// Closed when the thread ends.
    gone: Receiver<()>,
    memory: Memory,
}

/// The writing thread's end of the queue.
pub(crate) struct QueuedWrites {
    blocks: Receiver<Block>,
    _gone: Sender<()>,
}

/// The bytes of one block. Dropping it returns the buffer to the queue.
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
    back: Sender<Vec<u8>>,
    _permit: Permit,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.shrink_to(BUFFER_BYTES_KEPT);
        // The channel has room for every buffer.
        let _ = self.back.try_send(bytes);
    }
}

/// Makes a queue; its bytes count towards `memory`.
pub(crate) fn writes(memory: &Memory) -> (WriteQueue, QueuedWrites) {
    let (blocks, queued) = bounded(BUFFERS_MAX);
    let (back, free) = bounded(BUFFERS_MAX);
    for _ in 0..BUFFERS_MAX {
        let _ = back.try_send(Vec::new());
    }
    let (not_gone, gone) = bounded(0);
    let queue = WriteQueue { blocks, free, back, gone, memory: memory.clone() };
    (queue, QueuedWrites { blocks: queued, _gone: not_gone })
}

impl WriteQueue {
    /// Waits for an empty buffer for `len` bytes.
    pub(crate) fn buffer(&self, len: usize) -> Result<Buffer, EventLoopGone> {
        let bytes = crossbeam_channel::select! {
            recv(self.free) -> bytes => bytes.map_err(|_| EventLoopGone)?,
            recv(self.gone) -> _ => return Err(EventLoopGone),
        };
        let is_gone = || self.gone.try_recv() == Err(TryRecvError::Disconnected);
        let permit = self.memory.take(Use::Writes, len, is_gone).ok_or(EventLoopGone)?;
        Ok(Buffer { bytes, back: self.back.clone(), _permit: permit })
    }

    /// Queues a block.
    pub(crate) fn write(&self, block: Block) -> Result<(), EventLoopGone> {
        self.blocks.send(block).map_err(|_| EventLoopGone)
    }
}

/// Runs the writing thread until every handle of the queue is dropped, or the event loop has ended.
pub(crate) fn run(part: &Part, queued: &QueuedWrites, events: &Sender<Event>) {
    for block in &queued.blocks {
        let done = match write(part, &block) {
            Ok(done) => done,
            Err(error) => Some(Event::Disk(format!("writing {}", part.path().display()), error)),
        };
        drop(block);
        if done.is_some_and(|event| send(events, event).is_err()) {
            return;
        }
    }
}

/// Writes a block. Returns the event of a chunk that is complete with it, unless another connection was first: the
/// event loop knows of that chunk already.
fn write(part: &Part, block: &Block) -> io::Result<Option<Event>> {
    let Block { id, writer, chunk, .. } = *block;
    let is_ours = part.write(chunk, writer, block.offset, &block.bytes.bytes)?;
    let Some(right) = block.right.as_ref().filter(|_| is_ours) else { return Ok(None) };
    let is_first = part.done(chunk, writer);
    Ok(is_first.then_some(Event::Verified { id, chunk, bytes: right.bytes, took: right.took }))
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;
    use peernet_engine::download::SourceId;

    use super::*;

    const CHUNK: ChunkIndex = ChunkIndex(0);
    const WRITER: WriterId = WriterId(1);
    const ID: ConnectionId = ConnectionId { source: SourceId(0), number: 1 };

    fn block(writes: &WriteQueue, offset: u64, bytes: &[u8], right: Option<Right>) -> Block {
        let mut buffer = writes.buffer(bytes.len()).unwrap();
        buffer.bytes.extend_from_slice(bytes);
        Block { id: ID, writer: WRITER, chunk: CHUNK, offset, bytes: buffer, right }
    }

    fn part() -> (tempfile::TempDir, Part) {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::open(&folder.path().join("part")).unwrap().unwrap();
        (folder, part)
    }

    #[test]
    fn a_chunk_is_verified_when_all_of_it_is_written() {
        let (_folder, part) = part();
        let (writes, queued) = writes(&Memory::default());
        let (events, receiver) = unbounded();
        part.claim(CHUNK, WRITER);
        let right = Right { bytes: 6, took: Duration::ZERO };
        writes.write(block(&writes, 0, b"abc", None)).unwrap();
        writes.write(block(&writes, 3, b"def", Some(right))).unwrap();
        drop(writes);
        run(&part, &queued, &events);
        let sent: Vec<Event> = receiver.try_iter().collect();
        assert!(matches!(sent[..], [Event::Verified { chunk: CHUNK, bytes: 6, .. }]), "{sent:?}");
        assert_eq!(std::fs::read(part.path()).unwrap(), b"abcdef");
    }

    #[test]
    fn a_released_chunk_is_not_written() {
        let (_folder, part) = part();
        let (writes, queued) = writes(&Memory::default());
        let (events, receiver) = unbounded();
        part.claim(CHUNK, WRITER);
        writes.write(block(&writes, 0, b"abc", Some(Right { bytes: 3, took: Duration::ZERO }))).unwrap();
        part.release(CHUNK, WRITER);
        drop(writes);
        run(&part, &queued, &events);
        assert!(receiver.is_empty());
        assert_eq!(std::fs::read(part.path()).unwrap(), b"");
    }

    #[test]
    fn buffers_are_bounded_and_returned() {
        let memory = Memory::default();
        let (writes, queued) = writes(&memory);
        let all: Vec<Buffer> = (0..BUFFERS_MAX).map(|_| writes.buffer(1 << 20).unwrap()).collect();
        assert!(writes.free.is_empty());
        drop(all);
        assert_eq!(writes.free.len(), BUFFERS_MAX);
        let _all: Vec<Buffer> = (0..BUFFERS_MAX).map(|_| writes.buffer(1 << 20).unwrap()).collect();
        drop(queued);
        assert!(writes.buffer(1).is_err(), "the thread has ended");
        assert_eq!(memory.used().0, BUFFERS_MAX << 20);
    }

    #[test]
    fn a_chunk_that_two_connections_finish_is_verified_once() {
        let (_folder, part) = part();
        let (writes, queued) = writes(&Memory::default());
        let (events, receiver) = unbounded();
        part.claim(CHUNK, WRITER);
        let right = || Some(Right { bytes: 3, took: Duration::ZERO });
        writes.write(block(&writes, 0, b"abc", right())).unwrap();
        writes.write(block(&writes, 0, b"abc", right())).unwrap();
        drop(writes);
        run(&part, &queued, &events);
        assert_eq!(receiver.len(), 1);
    }
}
