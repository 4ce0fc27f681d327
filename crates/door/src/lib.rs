//! HTTP as the tracker speaks it: one strict request at a time through a door of our own, tiny_http's types for the answer.
//!
//! tiny_http's accept loop, parser and TLS face no network: a single malformed request can abort its process. The [`door`]
//! accepts, caps, enforces total deadlines and reads; whatever serves requests implements [`Service`].

mod accept;
mod admission;
mod connections;
mod crew;
mod door;
mod exchange;
pub mod head;
pub mod id;
mod inbox;
mod limits;
mod ops;
mod poll;
mod port;
mod print;
mod proxies;
mod refusal;
mod reply;
mod request;
mod security;
mod slots;
mod stats;
mod waiting;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;

pub use door::{Door, DrainReport};
pub use id::RequestId;
pub use limits::{DoorLimits, FDS_RESERVED};
pub use ops::{Ops, OpsAddress};
pub use proxies::Proxies;
pub use reply::Reply;
pub use request::{Head, Request};
pub use security::Security;
pub use stats::DoorStats;

/// What answers requests: the router. The door and the operations listener both call it.
pub trait Service: Send + Sync + 'static {
    /// The most body bytes this head may announce; a larger `Content-Length` is answered 413 before a byte is read.
    fn body_bytes_max(&self, head: &Head) -> usize;

    /// Who sent a request whose connection came from `remote`: another where a proxy that is trusted says so.
    fn client_of(&self, remote: IpAddr, _head: &Head) -> IpAddr {
        remote
    }

    /// Answers one whole request. It may block, for database work after taking a permit, for a commit, and never for the client;
    /// it then says so before ([`peernet_threads::about_to_block`]), or requests that need not wait stand behind it.
    fn answer(&self, request: Request) -> Answer;

    /// Is told of a request that was answered before it reached [`Service::answer`].
    fn refused(&self, _refused: &Refused) {}
}

/// A reply that is there, or one that is yet to come.
pub enum Answer {
    /// It is there.
    Now(Reply),
    /// Whoever is called with a [`Respond`] has it called once, on any thread, when the reply is there.
    Later(Later),
}

/// Begins what a reply waits for.
pub type Later = Box<dyn FnOnce(Respond) + Send>;
/// Takes a reply to its client, without waiting for the client.
pub type Respond = Box<dyn FnOnce(Reply) + Send>;

/// A request that was malformed, late, too large, or one too many.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// The id its answer carries.
    pub id: RequestId,
    /// Who sent it; `None` on a Unix socket.
    pub remote: Option<IpAddr>,
    /// The status it was answered with.
    pub status: u16,
    /// The stable word of the answer.
    pub code: &'static str,
}

impl<S: Service> Service for Arc<S> {
    fn body_bytes_max(&self, head: &Head) -> usize {
        (**self).body_bytes_max(head)
    }

    fn client_of(&self, remote: IpAddr, head: &Head) -> IpAddr {
        (**self).client_of(remote, head)
    }

    fn answer(&self, request: Request) -> Answer {
        (**self).answer(request)
    }

    fn refused(&self, refused: &Refused) {
        (**self).refused(refused);
    }
}
