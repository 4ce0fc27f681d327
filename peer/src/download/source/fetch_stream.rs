//! The conversation in one `Fetch` stream: requests and grants out, blocks and availability updates in.

use std::time::Duration;

use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};

use super::conversation::{Block, Conversation, Message};
use crate::download::leave::Leave;
use crate::grpc::{CallError, Client, CommandReceiver, FetchCall, FetchMessage, Received, StreamEvent};

/// An open stream.
pub(crate) struct FetchStream {
    call: FetchCall,
    grants: GrantShown,
    /// Whether the source has sent anything.
    answered: bool,
}

/// The grant that the source has been shown.
struct GrantShown {
    leave: Leave,
    /// False for plaintext sources: only TLS proves who presents a grant, and anyone on the path could use it.
    shows: bool,
    number: u64,
}

impl FetchStream {
    /// Opens the stream and presents the grant, if there is one and the source speaks TLS.
    pub(crate) fn open(
        client: &Client,
        file_hash: FileHash,
        manifest: ManifestId,
        leave: Leave,
        is_encrypted: bool,
    ) -> Result<Self, CallError> {
        let (number, grant) = if is_encrypted { leave.current() } else { (0, None) };
        let call = client.fetch(file_hash, manifest, grant.as_deref())?;
        Ok(Self { call, grants: GrantShown { leave, shows: is_encrypted, number }, answered: false })
    }

    fn show_newer_grant(&mut self) {
        let grants = &mut self.grants;
        if grants.shows && grants.leave.number() != grants.number {
            let (number, grant) = grants.leave.current();
            grants.number = number;
            grant.iter().for_each(|grant| self.call.show(grant));
        }
    }

    fn ended(&mut self, result: Result<(), CallError>) -> CallError {
        match result {
            Ok(()) => CallError::Transport("the source ended the call".to_owned()),
            // It was served until now, so the source has ended its share. That is allowed and costs it nothing.
            Err(CallError::Refused(why)) if self.answered => CallError::NotAllowed(why),
            Err(error) => {
                if matches!(error, CallError::NotAllowed(_)) {
                    self.grants.leave.doubt(self.grants.number);
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
        self.show_newer_grant();
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
