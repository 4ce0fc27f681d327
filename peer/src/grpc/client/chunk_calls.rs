//! Version 1's calls: one for each chunk, several at once on one connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::poll_fn;
use grpcio::{CallOption, ClientUnaryReceiver, MessageReader};
use peernet_engine::ids::{ChunkIndex, FileHash};
use peernet_protos::grpc::ChunkRequest;

use super::super::environment;
use super::super::marshal::{CALL_CHUNK, Payload};
use super::{CallError, Command, Orders};

/// What [`ChunkCalls::next`] waits for.
pub(crate) enum ChunkEvent {
    /// A call ended.
    Chunk(ChunkIndex, Result<Payload<MessageReader>, CallError>),
    /// The owner wants something.
    Command(Command),
    /// The owner wants nothing more of this source.
    Stopped,
}

/// The running calls. Dropping them cancels them. As many as were asked for: the scheduler's window bounds them.
pub(crate) struct ChunkCalls {
    client: grpcio::Client,
    file_hash: FileHash,
    timeout: Duration,
    running: Vec<(ChunkIndex, ClientUnaryReceiver<Payload<MessageReader>>)>,
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

    /// Cancels the call for a chunk; nothing more comes of it.
    pub(crate) fn cancel(&mut self, chunk: ChunkIndex) {
        self.running.retain(|(running, _)| *running != chunk);
    }

    /// Waits for whatever comes first.
    pub(crate) fn next(&mut self, orders: &mut Orders) -> ChunkEvent {
        block_on(poll_fn(|context| self.poll_next(context, orders)))
    }

    /// Takes no answer for `span`, unless a command comes first. Calls that were started go on meanwhile.
    pub(crate) fn pause(&mut self, orders: &mut Orders, span: Duration) -> Option<ChunkEvent> {
        let mut commanded = poll_fn(|context| orders.poll_command(context));
        let command = environment::wait_for(&mut commanded, span)?;
        Some(command.map_or(ChunkEvent::Stopped, ChunkEvent::Command))
    }

    fn poll_next(&mut self, context: &mut Context<'_>, orders: &mut Orders) -> Poll<ChunkEvent> {
        if let Poll::Ready(command) = orders.poll_command(context) {
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
