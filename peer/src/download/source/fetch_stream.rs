//! The conversation in one `Fetch` stream: requests and grants out, blocks and availability updates in.

use std::sync::Arc;
use std::time::Duration;

use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};

use super::{Block, Conversation, Message};
use crate::access::{GrantCache, GrantToken};
use crate::grpc::{CallError, Client, CommandReceiver, FetchCall, FetchMessage, Received, StreamEvent};

/// An open stream.
pub(crate) struct FetchStream {
    call: FetchCall,
    presented: PresentedGrant,
    /// Whether the source has sent anything.
    answered: bool,
}

/// The grant that the source was given last.
struct PresentedGrant {
    cache: GrantCache,
    /// Plaintext sources are given none: only TLS proves which account presents it, and anyone on the path could use
    /// it.
    is_encrypted: bool,
    /// The number of the grant in the cache; 0 before the first.
    number: u64,
}

impl PresentedGrant {
    fn is_outdated(&self) -> bool {
        self.is_encrypted && self.cache.number() != self.number
    }

    /// Returns the grant to present now, and notes its number.
    fn newest(&mut self) -> Option<Arc<GrantToken>> {
        if !self.is_encrypted {
            return None;
        }
        let current = self.cache.current();
        self.number = current.number;
        current.token
    }
}

impl FetchStream {
    /// Opens the stream and presents the grant, if there is one and the source speaks TLS.
    pub(crate) fn open(
        client: &Client,
        file_hash: FileHash,
        manifest: ManifestId,
        grants: GrantCache,
        is_encrypted: bool,
    ) -> Result<Self, CallError> {
        let mut presented = PresentedGrant { cache: grants, is_encrypted, number: 0 };
        let call = client.fetch(file_hash, manifest, presented.newest().as_deref())?;
        Ok(Self { call, presented, answered: false })
    }

    fn present_newer_grant(&mut self) {
        if self.presented.is_outdated()
            && let Some(grant) = self.presented.newest()
        {
            self.call.present(&grant);
        }
    }

    fn ended(&mut self, result: Result<(), CallError>) -> CallError {
        match result {
            Ok(()) => CallError::Transport("the source ended the call".to_owned()),
            // It was served until now, so the source has ended its share. That is allowed and costs it nothing.
            Err(CallError::Refused(why)) if self.answered => CallError::NotAllowed(why),
            Err(error) => {
                if matches!(error, CallError::NotAllowed(_)) {
                    self.presented.cache.refused(self.presented.number);
                }
                error
            }
        }
    }
}

impl Conversation for FetchStream {
    type Data = Received;

    fn request(&mut self, chunks: &[ChunkIndex]) -> Result<(), CallError> {
        self.call.want(chunks);
        Ok(())
    }

    fn request_anyway(&mut self, chunks: &[ChunkIndex]) -> Result<(), CallError> {
        self.call.want_again(chunks);
        Ok(())
    }

    fn withdraw(&mut self, chunks: &[ChunkIndex]) {
        self.call.drop_wanted(chunks);
    }

    fn complain(&mut self, chunk: ChunkIndex, requested: &[ChunkIndex]) -> bool {
        self.call.drop_wanted(requested);
        self.call.complain(chunk);
        true
    }

    fn next(&mut self, commands: &mut CommandReceiver) -> Message<Received> {
        self.present_newer_grant();
        match self.call.next(commands) {
            StreamEvent::Stopped => Message::Stopped,
            StreamEvent::Command(command) => Message::Command(command),
            StreamEvent::Ended(result) => Message::Ended(self.ended(result)),
            StreamEvent::Message(message) => {
                self.answered = true;
                match message {
                    FetchMessage::Block { chunk, offset, last, data } => {
                        Message::Block(Block { chunk, offset, last, len: data.len(), data })
                    }
                    FetchMessage::Available { have, given } => Message::Available { held: have, given },
                    FetchMessage::Busy(chunk) => Message::Busy(chunk),
                    FetchMessage::Refused(chunk, cause) => Message::Refused(chunk, cause),
                    FetchMessage::Unknown => Message::Unknown,
                }
            }
        }
    }

    fn pause(&mut self, commands: &mut CommandReceiver, span: Duration) -> Option<Message<Received>> {
        self.call.pause(commands, span).map(|command| command.map_or(Message::Stopped, Message::Command))
    }
}
