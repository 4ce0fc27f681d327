//! The conversation with a version 1 source: one `DownloadChunk` call for each chunk, several at once.

use std::time::Duration;

use peernet_engine::ids::{ChunkIndex, FileHash};

use super::{Block, Conversation, Message};
use crate::grpc::{CallError, ChunkCalls, ChunkEvent, Client, CommandReceiver, Received};

/// The calls under way.
pub(crate) struct V1Calls(ChunkCalls);

impl V1Calls {
    /// No call yet. Each may take `timeout`.
    pub(crate) fn new(client: &Client, file_hash: FileHash, timeout: Duration) -> Self {
        Self(client.chunk_calls(file_hash, timeout))
    }
}

impl Conversation for V1Calls {
    type Data = Received;

    fn request(&mut self, chunks: &[ChunkIndex]) -> Result<(), CallError> {
        chunks.iter().try_for_each(|chunk| self.0.start(*chunk))
    }

    fn request_anyway(&mut self, chunks: &[ChunkIndex]) -> Result<(), CallError> {
        self.request(chunks)
    }

    fn withdraw(&mut self, chunks: &[ChunkIndex]) {
        chunks.iter().for_each(|chunk| self.0.cancel(*chunk));
    }

    fn complain(&mut self, _: ChunkIndex, _: &[ChunkIndex]) -> bool {
        false
    }

    fn next(&mut self, commands: &mut CommandReceiver) -> Message<Received> {
        match self.0.next(commands) {
            ChunkEvent::Stopped => Message::Stopped,
            ChunkEvent::Command(command) => Message::Command(command),
            ChunkEvent::Chunk(chunk, Ok(data)) => {
                Message::Block(Block { chunk, offset: 0, last: true, len: data.len(), data })
            }
            // The connection is gone, and with it every other call.
            ChunkEvent::Chunk(_, Err(error @ (CallError::Transport(_) | CallError::Cancelled))) => {
                Message::Ended(error)
            }
            ChunkEvent::Chunk(chunk, Err(CallError::Busy)) => Message::Busy(chunk),
            ChunkEvent::Chunk(chunk, Err(error)) => Message::Refused(chunk, error.cause()),
        }
    }

    fn pause(&mut self, commands: &mut CommandReceiver, span: Duration) -> Option<Message<Received>> {
        self.0.pause(commands, span).map(|command| command.map_or(Message::Stopped, Message::Command))
    }
}
