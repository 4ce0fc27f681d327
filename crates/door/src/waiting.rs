//! Connections beyond their client's cap, kept until another connection of that client ends.
//!
//! Version 1 programs open a connection for every report, so a burst of them is honest. A waiting connection costs an open file
//! and no thread, is not read, and takes only places that no admitted connection needs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::link::{Client, Link};

/// The waiting connections, in the order of their arrival.
#[derive(Default)]
pub(crate) struct WaitingRoom {
    queue: VecDeque<Waiting>,
}

struct Waiting {
    client: Client,
    link: Arc<Link>,
    until: Instant,
}

impl WaitingRoom {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Lets a connection wait until `until`; false if `per_client_max` connections of its client wait already. All wait equally
    /// long, so the queue is in the order of its deadlines.
    pub(crate) fn push(&mut self, link: &Arc<Link>, until: Instant, per_client_max: usize) -> bool {
        let client = link.client();
        let fits = self.queue.iter().filter(|waiting| waiting.client == client).count() < per_client_max;
        if fits {
            self.queue.push_back(Waiting { client, link: Arc::clone(link), until });
        }
        fits
    }

    pub(crate) fn has(&self, client: Client) -> bool {
        self.queue.iter().any(|waiting| waiting.client == client)
    }

    /// Removes the connection of `client` that has waited longest.
    pub(crate) fn pop_of(&mut self, client: Client) -> Option<Arc<Link>> {
        let at = self.queue.iter().position(|waiting| waiting.client == client)?;
        self.queue.remove(at).map(|waiting| waiting.link)
    }

    /// Removes the connection that came last, which gives way first.
    pub(crate) fn pop_last(&mut self) -> Option<Arc<Link>> {
        self.queue.pop_back().map(|waiting| waiting.link)
    }

    /// Removes the connection that came first.
    pub(crate) fn pop_first(&mut self) -> Option<Arc<Link>> {
        self.queue.pop_front().map(|waiting| waiting.link)
    }

    /// The earliest deadline.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        self.queue.front().map(|waiting| waiting.until)
    }
}
