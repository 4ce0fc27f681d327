//! Version 1's calls: one for each chunk, several at once on one connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::poll_fn;
use grpcio::{CallOption, ClientUnaryReceiver};
use peernet_engine::ids::{ChunkIndex, FileHash};
use peernet_protos::grpc::ChunkRequest;

use super::{CallError, Command, CommandReceiver};
use crate::grpc::marshal::CALL_CHUNK;
use crate::grpc::{Received, environment};

/// An event of [`ChunkCalls::next`].
pub(crate) enum ChunkEvent {
    /// A call ended.
    Chunk(ChunkIndex, Result<Received, CallError>),
    /// The event loop wants something.
    Command(Command),
    /// The event loop wants nothing more of this source.
    Stopped,
}

/// The running calls, bounded by the scheduler's window. Dropping them cancels them.
pub(crate) struct ChunkCalls {
    client: grpcio::Client,
    file_hash: FileHash,
    timeout: Duration,
    running: Vec<(ChunkIndex, ClientUnaryReceiver<Received>)>,
}

impl ChunkCalls {
    pub(super) fn new(client: grpcio::Client, file_hash: FileHash, timeout: Duration) -> Self {
        Self { client, file_hash, timeout, running: Vec::new() }
    }

    /// Asks for a chunk.
    pub(crate) fn start(&mut self, chunk: ChunkIndex) -> Result<(), CallError> {
        let chunk_index = i32::try_from(chunk.0).map_err(|_| CallError::Refused("no such chunk".to_owned()))?;
        let request = ChunkRequest { file_hash: self.file_hash.to_string(), chunk_index, ..ChunkRequest::default() };
        let options = CallOption::default().timeout(self.timeout);
        let call = self.client.unary_call_async(&CALL_CHUNK, &request, options)?;
        self.running.push((chunk, call));
        Ok(())
    }

    /// Cancels the call for a chunk. Nothing of it is returned after that.
    pub(crate) fn cancel(&mut self, chunk: ChunkIndex) {
        self.running.retain(|(running, _)| *running != chunk);
    }

    /// Waits for the end of a call or for a command.
    pub(crate) fn next(&mut self, commands: &mut CommandReceiver) -> ChunkEvent {
        block_on(poll_fn(|context| self.poll_next(context, commands)))
    }

    /// Returns no chunk for `span`. Calls that were started go on meanwhile. A command ends this early; `Some(None)`
    /// when the event loop has dropped its end.
    pub(crate) fn pause(&mut self, commands: &mut CommandReceiver, span: Duration) -> Option<Option<Command>> {
        let mut commanded = poll_fn(|context| commands.poll_command(context));
        environment::wait_for(&mut commanded, span)
    }

    fn poll_next(&mut self, context: &mut Context<'_>, commands: &mut CommandReceiver) -> Poll<ChunkEvent> {
        if let Poll::Ready(command) = commands.poll_command(context) {
            return Poll::Ready(command.map_or(ChunkEvent::Stopped, ChunkEvent::Command));
        }
        for position in 0..self.running.len() {
            let (chunk, call) = &mut self.running[position];
            if let Poll::Ready(result) = Pin::new(call).poll(context) {
                let chunk = *chunk;
                drop(self.running.swap_remove(position));
                return Poll::Ready(ChunkEvent::Chunk(chunk, result.map_err(CallError::from)));
            }
        }
        Poll::Pending
    }
}
