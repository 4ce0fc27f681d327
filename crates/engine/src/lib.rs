//! Every decision PeerNet takes, without I/O.
//!
//! Nothing here reads a clock, a socket, a file, a thread, the environment or randomness: `now` and `seed` come in as
//! arguments, and the intended effects go out as data. A `clippy.toml` beside this crate bans the rest mechanically.
//! Machines have one shape: `new(now, …)`, `handle(now, Input)` (total: never blocks, never fails),
//! `poll() -> Option<Output>` and `deadline() -> Option<Instant>`; a driver takes one input, drains `poll` to `None`,
//! then takes the next.

pub mod access;
pub mod assembly;
pub mod bitmap;
pub mod bottleneck;
pub mod candidate;
pub mod cause;
pub mod collection;
pub mod download;
pub mod economy;
pub mod glob;
pub mod guesses;
pub mod ids;
pub mod journal;
pub mod lease;
pub mod link;
pub mod manifest;
pub mod memory;
pub mod names;
pub mod plan;
pub mod random;
pub mod rate;
pub mod rate_limit;
pub mod serving;
pub mod time;
