//! The thread that writes: sources receive and hash, and this writes behind them, so that a chunk's hash and its way to the
//! disk take place at the same time.
//!
//! What waits is bounded by the buffers: there are [`BUFFERS_MAX`], and a source that finds none free waits for the disk.
//! Their bytes count towards the process's memory.

use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use peernet_engine::ids::ChunkIndex;
use peernet_engine::memory::Use;

use crate::download::event::{Event, LinkId, OwnerGone, tell};
use crate::memory::{Memory, Permit};
use crate::part::{Part, WriterId};

/// Blocks on their way to the disk, over all sources; a block is at most
/// [`peernet_protos::limits::BLOCK_BYTES_MAX`] long, as a rule much shorter.
const BUFFERS_MAX: usize = 4;
/// A buffer that once had to be longer is not kept at that length.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// A block of a chunk that `link` claimed.
pub(crate) struct Block {
    pub(crate) link: LinkId,
    pub(crate) writer: WriterId,
    pub(crate) chunk: ChunkIndex,
    /// Of the whole.
    pub(crate) offset: u64,
    pub(crate) bytes: Buffer,
    /// With this block the chunk is whole, and right.
    pub(crate) right: Option<Right>,
}

/// What is told of a whole chunk when it is written.
pub(crate) struct Right {
    pub(crate) bytes: u32,
    pub(crate) took: Duration,
}

/// Where sources get buffers and leave blocks. The thread ends when all of these are gone.
#[derive(Clone)]
pub(crate) struct Writes {
    blocks: Sender<Block>,
    free: Receiver<Vec<u8>>,
    back: Sender<Vec<u8>>,
    /// Closed when the thread ends.
    gone: Receiver<()>,
    memory: Memory,
}

/// The thread's end of it.
pub(crate) struct Waiting {
    blocks: Receiver<Block>,
    _gone: Sender<()>,
}

/// Bytes of one block; goes back by itself.
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
        // It has room for all there are.
        let _ = self.back.try_send(bytes);
    }
}

/// Both ends.
pub(crate) fn writes(memory: &Memory) -> (Writes, Waiting) {
    let (blocks, waiting) = bounded(BUFFERS_MAX);
    let (back, free) = bounded(BUFFERS_MAX);
    for _ in 0..BUFFERS_MAX {
        let _ = back.try_send(Vec::new());
    }
    let (not_gone, gone) = bounded(0);
    (Writes { blocks, free, back, gone, memory: memory.clone() }, Waiting { blocks: waiting, _gone: not_gone })
}

impl Writes {
    /// An empty buffer for `len` bytes, as soon as the disk has left one.
    pub(crate) fn buffer(&self, len: usize) -> Result<Buffer, OwnerGone> {
        let bytes = crossbeam_channel::select! {
            recv(self.free) -> bytes => bytes.map_err(|_| OwnerGone)?,
            recv(self.gone) -> _ => return Err(OwnerGone),
        };
        let is_gone = || self.gone.try_recv() == Err(TryRecvError::Disconnected);
        let permit = self.memory.take(Use::Writes, len, is_gone).ok_or(OwnerGone)?;
        Ok(Buffer { bytes, back: self.back.clone(), _permit: permit })
    }

    /// To be written in turn.
    pub(crate) fn write(&self, block: Block) -> Result<(), OwnerGone> {
        self.blocks.send(block).map_err(|_| OwnerGone)
    }
}

/// The thread: until nobody can leave a block any more, or nobody wants to know.
pub(crate) fn run(part: &Part, waiting: &Waiting, events: &Sender<Event>) {
    for block in &waiting.blocks {
        let done = match write(part, &block) {
            Ok(done) => done,
            Err(error) => Some(Event::Disk(format!("writing {}", part.path().display()), error)),
        };
        drop(block);
        if done.is_some_and(|event| tell(events, event).is_err()) {
            return;
        }
    }
}

/// What is to be told. Of a chunk that someone else has finished meanwhile the owner has heard.
fn write(part: &Part, block: &Block) -> io::Result<Option<Event>> {
    let Block { link, writer, chunk, .. } = *block;
    let stands = part.write(chunk, writer, block.offset, &block.bytes.bytes)?;
    let Some(right) = block.right.as_ref().filter(|_| stands) else { return Ok(None) };
    let is_first = part.done(chunk, writer);
    Ok(is_first.then_some(Event::Verified { link, chunk, bytes: right.bytes, took: right.took }))
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;
    use peernet_engine::download::SourceId;

    use super::*;

    const CHUNK: ChunkIndex = ChunkIndex(0);
    const WRITER: WriterId = WriterId(1);
    const LINK: LinkId = LinkId { source: SourceId(0), number: 1 };

    fn block(writes: &Writes, offset: u64, bytes: &[u8], right: Option<Right>) -> Block {
        let mut buffer = writes.buffer(bytes.len()).unwrap();
        buffer.bytes.extend_from_slice(bytes);
        Block { link: LINK, writer: WRITER, chunk: CHUNK, offset, bytes: buffer, right }
    }

    fn part() -> (tempfile::TempDir, Part) {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::open(&folder.path().join("part")).unwrap().unwrap();
        (folder, part)
    }

    #[test]
    fn a_chunk_is_told_of_when_all_of_it_is_written() {
        let ((_folder, part), (writes, waiting), (events, happening)) =
            (part(), writes(&Memory::default()), unbounded());
        part.claim(CHUNK, WRITER);
        let right = Right { bytes: 6, took: Duration::ZERO };
        writes.write(block(&writes, 0, b"abc", None)).unwrap();
        writes.write(block(&writes, 3, b"def", Some(right))).unwrap();
        drop(writes);
        run(&part, &waiting, &events);
        let told: Vec<Event> = happening.try_iter().collect();
        assert!(matches!(told[..], [Event::Verified { chunk: CHUNK, bytes: 6, .. }]), "{told:?}");
        assert_eq!(std::fs::read(part.path()).unwrap(), b"abcdef");
    }

    #[test]
    fn what_was_given_up_meanwhile_is_not_written() {
        let ((_folder, part), (writes, waiting), (events, happening)) =
            (part(), writes(&Memory::default()), unbounded());
        part.claim(CHUNK, WRITER);
        writes.write(block(&writes, 0, b"abc", Some(Right { bytes: 3, took: Duration::ZERO }))).unwrap();
        part.release(CHUNK, WRITER);
        drop(writes);
        run(&part, &waiting, &events);
        assert!(happening.is_empty());
        assert_eq!(std::fs::read(part.path()).unwrap(), b"");
    }

    #[test]
    fn buffers_are_few_and_come_back_and_nobody_waits_for_a_thread_that_ended() {
        let memory = Memory::default();
        let (writes, waiting) = writes(&memory);
        let all: Vec<Buffer> = (0..BUFFERS_MAX).map(|_| writes.buffer(1 << 20).unwrap()).collect();
        assert!(writes.free.is_empty());
        drop(all);
        assert_eq!(writes.free.len(), BUFFERS_MAX);
        let _all: Vec<Buffer> = (0..BUFFERS_MAX).map(|_| writes.buffer(1 << 20).unwrap()).collect();
        drop(waiting);
        assert!(writes.buffer(1).is_err());
        assert_eq!(memory.used().0, BUFFERS_MAX << 20);
    }
}
