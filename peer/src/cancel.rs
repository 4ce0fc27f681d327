//! A flag that says "stop", which a thread can also wait for beside other channels.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

/// Cheap to clone; all clones are one flag. Never goes back to "go on".
#[derive(Clone, Debug)]
pub struct Cancel {
    // Dropping the only sender is the signal: every receiver sees it, however late it looks.
    sender: Arc<Mutex<Option<Sender<Infallible>>>>,
    receiver: Receiver<Infallible>,
}

impl Cancel {
    /// Not cancelled.
    pub fn new() -> Self {
        let (sender, receiver) = bounded(0);
        Self { sender: Arc::new(Mutex::new(Some(sender))), receiver }
    }

    /// Tells everyone to stop. Calling it again changes nothing.
    pub fn cancel(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.receiver.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// For `select!`: becomes ready, with a disconnection, when cancelled. Never carries a message.
    pub fn channel(&self) -> &Receiver<Infallible> {
        &self.receiver
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_sees_the_cancellation_and_its_channel_wakes() {
        let cancel = Cancel::new();
        let clone = cancel.clone();
        assert!(!clone.is_cancelled());
        let waiter = std::thread::spawn(move || {
            let woken = clone.channel().recv().is_err();
            woken && clone.is_cancelled()
        });
        cancel.cancel();
        cancel.cancel();
        assert!(waiter.join().unwrap());
    }
}
