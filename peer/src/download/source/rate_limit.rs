//! The download rate limit: a connection reads nothing more from its source before the bytes it has read fit the limit.

use std::time::{Duration, Instant};

use super::connection::{Connection, Ended, Session};
use super::{Conversation, Message};
use crate::download::event::{Event, send};

/// The interval at which the event loop hears that the limit holds a source back. The scheduler's time-outs are far
/// longer.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Session {
    /// Waits until `len` bytes of payload fit the limit, and obeys commands meanwhile. A version 1 source goes on
    /// sending the requested chunks: at most a window.
    pub(crate) fn pay<C: Conversation>(
        &mut self,
        connection: &mut Connection,
        conversation: &mut C,
        len: usize,
    ) -> Result<(), Ended> {
        let Some(debt) = connection.throttle.received(len as u64) else { return Ok(()) };
        while let Some(wait) = connection.throttle.wait(debt) {
            self.tell_held_back(connection)?;
            let paused = || conversation.pause(&mut connection.commands, wait);
            match connection.times.while_held_back(paused) {
                None => {}
                Some(Message::Command(command)) => self.obey(conversation, command)?,
                Some(_) => return Err(Ended::Stopped),
            }
        }
        Ok(())
    }

    /// Tells the event loop that this node's limit is the reason, so that the silence does not count against the
    /// source.
    fn tell_held_back(&mut self, connection: &Connection) -> Result<(), Ended> {
        if self.held_back_at.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.held_back_at = Some(Instant::now());
            send(&connection.events, Event::HeldBack(connection.id))?;
        }
        Ok(())
    }
}
