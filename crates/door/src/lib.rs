//! An HTTP/1.1 server that may face strangers.
//!
//! tiny_http's own listener must not: one malformed request can abort its process, starve it or leak its descriptors.
//! This crate keeps tiny_http's types and printer, and replaces the rest. A [`Door`] accepts connections, caps them,
//! reads one strict request at a time under total deadlines, and hands it to a [`Service`]. Everything that a client
//! can make grow or wait has a limit in [`DoorLimits`].
//!
//! # Replies
//!
//! | [`Answer`] | made by | for |
//! |---|---|---|
//! | `Now` | [`Reply`] | a reply that is ready when the handler returns |
//! | `Deferred` | [`Answer::deferred`] | what waits for a commit or another machine; no thread waits |
//! | `Streamed` | [`Answer::streamed`] | server-sent events and other bodies without an end; no thread waits |
//!
//! # Threads
//!
//! A few workers serve all connections. A connection that waits for its client, its deferred reply or its next event is
//! an entry in a table. A handler that waits itself declares it with [`peernet_threads::Blocking`], and another worker
//! takes over.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use peernet_door::{Answer, Door, DoorLimits, Head, Reply, Request, Service};
//!
//! struct Hello;
//!
//! impl Service for Hello {
//!     fn body_bytes_max(&self, _: &Head) -> usize {
//!         0
//!     }
//!
//!     fn answer(&self, _: Request) -> Answer {
//!         Answer::Now(Reply::text(200, "hello"))
//!     }
//! }
//!
//! let door = Door::bind("127.0.0.1:0", DoorLimits::default(), Arc::new(Hello))?;
//! println!("http://{}", door.local_addr());
//! door.drain(Duration::from_secs(5));
//! # Ok::<(), std::io::Error>(())
//! ```

mod accept;
mod admission;
mod budget;
mod connections;
mod deferred;
mod door;
mod exchange;
pub mod head;
mod id;
mod inbox;
mod limits;
mod link;
mod listener;
mod local;
mod poll;
mod print;
mod proxies;
mod refusal;
mod reply;
mod request;
mod security;
mod slots;
mod socket_file;
mod stats;
mod stream;
mod waiting;
mod wire;
mod workers;

use std::net::IpAddr;
use std::sync::Arc;

pub use deferred::{Deferred, Responder};
pub use door::{Door, DrainReport};
pub use id::RequestId;
pub use limits::{DoorLimits, FDS_RESERVED, StreamLimits};
pub use local::{LocalAddress, LocalDoor};
pub use proxies::Proxies;
pub use refusal::Refused;
pub use reply::{Answer, Reply, Streamed};
pub use request::{Head, Request};
pub use security::Security;
pub use stats::DoorStats;
pub use stream::{PushError, StreamSender};

/// The handler of a door's requests, shared by all of its workers.
pub trait Service: Send + Sync + 'static {
    /// The most body bytes that a request with this head may announce. A larger `Content-Length` is answered 413 before
    /// a byte is read.
    fn body_bytes_max(&self, head: &Head) -> usize;

    /// The client of a request whose connection came from `remote`. Another address if a trusted proxy names it; see
    /// [`Proxies`].
    fn client_of(&self, remote: IpAddr, _head: &Head) -> IpAddr {
        remote
    }

    /// Answers one whole request. It may wait for a database or a commit after [`peernet_threads::Blocking::declare`],
    /// and never for the client. A panic is answered 500.
    fn answer(&self, request: Request) -> Answer;

    /// Phrases the reply to a request that the door refuses before it reaches [`Service::answer`]. Also the place to
    /// log it.
    fn refused(&self, refused: &Refused) -> Reply {
        Reply::text(refused.status, format!("{}\n", refused.message))
    }
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

    fn refused(&self, refused: &Refused) -> Reply {
        (**self).refused(refused)
    }
}
