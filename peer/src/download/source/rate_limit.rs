//! The limit on downloads: nothing more is read from a source before what it sent fits.

use std::time::{Duration, Instant};

use crate::download::event::{Event, tell};
use crate::download::source::{End, Link, Session};
use crate::grpc::{CallError, ChunkCalls, ChunkEvent, FetchCall, StreamEvent};

/// How often the owner is told; the scheduler's time-outs are far longer.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Session {
    /// After `len` bytes of payload: waits until they fit, taking orders meanwhile.
    pub(crate) fn pay(&mut self, link: &mut Link, call: &mut FetchCall, len: usize) -> Result<(), End> {
        let Some(debt) = link.throttle.received(len as u64) else { return Ok(()) };
        while let Some(wait) = link.throttle.wait(debt) {
            self.tell_held_back(link)?;
            match link.spent.while_held_back(|| call.pause(&mut link.orders, wait)) {
                None => {}
                Some(StreamEvent::Command(command)) => self.order_stream(call, command)?,
                Some(_) => return Err(End::Stopped),
            }
        }
        Ok(())
    }

    /// The same for version 1. What was asked for comes meanwhile, and so no more is asked for: at most a window.
    pub(crate) fn pay_for_call(
        &mut self,
        link: &mut Link,
        calls: &mut ChunkCalls,
        len: usize,
    ) -> Result<Option<CallError>, End> {
        let Some(debt) = link.throttle.received(len as u64) else { return Ok(None) };
        while let Some(wait) = link.throttle.wait(debt) {
            self.tell_held_back(link)?;
            match link.spent.while_held_back(|| calls.pause(&mut link.orders, wait)) {
                None => {}
                Some(ChunkEvent::Command(command)) => {
                    if let Err(error) = self.order_calls(calls, command) {
                        return Ok(Some(error));
                    }
                }
                Some(_) => return Err(End::Stopped),
            }
        }
        Ok(None)
    }

    /// So that the source is not blamed.
    fn tell_held_back(&mut self, link: &Link) -> Result<(), End> {
        if self.held_back.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.held_back = Some(Instant::now());
            tell(&link.events, Event::HeldBack(link.id))?;
        }
        Ok(())
    }
}
