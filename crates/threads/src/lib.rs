//! Named threads, stop signals, a bounded worker pool and joins with a deadline: all that PeerNet asks of threads.
//!
//! A thread is an *owner* (selects over its inputs and keeps state), a *worker* (job in, result out) or a *pump* (turns a blocking
//! call into messages). One function per process spawns and names them all and keeps their [`Group`]; none is detached.
//! Stop is dropping the one [`Stopper`]: every `select!` has an arm on a [`StopSignal`].

mod blocking;
mod group;
mod lock;
mod pool;
mod priority;
mod stop;

pub use blocking::{Blocking, about_to_block, before_blocking};
pub use group::{Group, Stragglers};
pub use lock::lock;
pub use pool::{Full, Pool};
pub use priority::lower_priority;
pub use stop::{StopSignal, Stopper, stop_pair};
