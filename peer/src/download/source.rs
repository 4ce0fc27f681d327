//! Connections to sources: one thread for each, which converses with the source and hands on received bytes.
//!
//! [`connection`] owns the thread. It does not know how a source is spoken to: that is a [`Conversation`], of which
//! there is one implementation for each [`Protocol`](peernet_engine::download::Protocol).

pub(crate) mod connection;
mod fetch_stream;
mod rate_limit;
mod v1_calls;

use std::io::BufRead;
use std::time::Duration;

use peernet_engine::cause::Cause;
use peernet_engine::ids::ChunkIndex;

use crate::grpc::{CallError, Command, CommandReceiver};

/// An event for the thread of a connection.
pub(crate) enum Message<D> {
    /// Bytes of a chunk came.
    Block(Block<D>),
    /// An availability update: the chunks that the source holds, and those that it gives to others. Bitmaps, a bit for
    /// each chunk; `held` is `None` for a complete source, `given` where it serves no other caller.
    Available { held: Option<Vec<u8>>, given: Option<Vec<u8>> },
    /// The source has too much to do to send this chunk now.
    Busy(ChunkIndex),
    /// The source will not send this chunk.
    Refused(ChunkIndex, Cause),
    /// A message of a later version.
    Unknown,
    /// The event loop wants something.
    Command(Command),
    /// The event loop wants nothing more of this source.
    Stopped,
    /// The conversation is over.
    Ended(CallError),
}

/// Bytes of a chunk.
pub(crate) struct Block<D> {
    pub(crate) chunk: ChunkIndex,
    /// Position of the first byte in the chunk.
    pub(crate) offset: u32,
    /// Whether these bytes complete the chunk.
    pub(crate) last: bool,
    /// The number of bytes that `data` holds.
    pub(crate) len: usize,
    pub(crate) data: D,
}

/// One conversation with a source, over one connection. Dropping it ends the conversation.
pub(crate) trait Conversation {
    /// Received bytes, read where they were received.
    type Data: BufRead;

    /// Asks for chunks, after those asked for before.
    fn request(&mut self, chunks: &[ChunkIndex]) -> Result<(), CallError>;

    /// Asks for chunks although the source gives them to others.
    fn request_anyway(&mut self, chunks: &[ChunkIndex]) -> Result<(), CallError>;

    /// Takes requests back. Bytes of these chunks may still come.
    fn withdraw(&mut self, chunks: &[ChunkIndex]);

    /// Tells the source that a chunk came whole and wrong, and that nothing more is wanted. Returns false where the
    /// protocol has no message for this, and the conversation goes on.
    fn complain(&mut self, chunk: ChunkIndex, requested: &[ChunkIndex]) -> bool;

    /// Waits for a message of the source or a command, and returns the first of them.
    fn next(&mut self, commands: &mut CommandReceiver) -> Message<Self::Data>;

    /// Reads nothing from the source for `span`, so that TCP holds it back. A command ends this early and is returned.
    fn pause(&mut self, commands: &mut CommandReceiver, span: Duration) -> Option<Message<Self::Data>>;
}
