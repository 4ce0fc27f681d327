//! Threads as PeerNet uses them: named, bounded, stopped and joined.
//!
//! A thread is an *event loop* (waits for its inputs and owns their state), a *worker* (takes a job, returns a result) or a *pump*
//! (turns a blocking call into messages). One function per process spawns and names the long-lived threads and keeps their
//! [`Group`]. Dropping the one [`Stopper`] stops them: every event loop watches a [`StopSignal`].
//!
//! | item | for |
//! |---|---|
//! | [`Group`] | long-lived threads, joined within a deadline |
//! | [`Group::spawn_supervised`] | a long-lived thread whose panic is reported and that can be restarted |
//! | [`ElasticGroup`] | threads that come and go, such as the workers of the HTTP server |
//! | [`Pool`] | a fixed number of workers behind a bounded queue |
//! | [`Blocking`] | the token that a function asks for before it waits |

mod blocking;
mod elastic;
mod group;
mod lock;
mod pool;
mod priority;
mod stop;
mod supervise;

pub use blocking::{Blocking, before_blocking};
pub use elastic::ElasticGroup;
pub use group::{Group, Stragglers};
pub use lock::lock;
pub use pool::{Full, Pool};
pub use priority::lower_priority;
pub use stop::{StopSignal, Stopper, stop_pair};
pub use supervise::{AfterPanic, Panicked};
