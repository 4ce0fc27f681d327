//! Decisions of a source while it serves.
//!
//! [`Serving`] serves one stream: one call in which a caller names a file and asks for chunks of it. It decides which
//! block is sent next, when an availability update goes out, what is refused, and when the stream ends. Its callers
//! share [`super_seed::SuperSeed`] where the source is complete. Beside it stand the machines of the whole source:
//! [`complaints`] admits complaints of wrong chunks, [`admission`] queues single calls, and [`pacing`] keeps to the
//! upload limit.
//!
//! Nothing here knows a byte of a file, a socket, a thread or a clock. A driver moves the bytes.
//!
//! # The driver's loop
//! 1. Take one event: a message of the caller, a message that the transport took, a change of the file, or a timer set to
//!    [`Serving::deadline`].
//! 2. Hand it in with the time: [`Serving::handle`].
//! 3. Poll: [`Serving::poll`]. Do what the output says, and hand in the answer that its documentation names.
//! 4. Repeat step 3 until `poll` returns `None` or the driver wants to serve another stream first. In that case it asks
//!    [`Serving::has_output`] and comes back later.
//! 5. Continue with step 1 until [`Output::End`].
//!
//! ```
//! use std::cell::RefCell;
//! use std::rc::Rc;
//! use std::time::{Duration, Instant};
//!
//! use peernet_engine::ids::{ByteCount, FileHash};
//! use peernet_engine::manifest::Geometry;
//! use peernet_engine::serving::super_seed::{SharedSuperSeed, SuperSeed};
//! use peernet_engine::serving::wanted::ChunkRange;
//! use peernet_engine::serving::{FileKey, Input, Limits, OpenedFile, Output, Request, Serving};
//!
//! /// The callers of one file; a server has a lock here.
//! struct Callers(Rc<RefCell<SuperSeed>>);
//!
//! impl SharedSuperSeed for Callers {
//!     fn with<T>(&self, act: impl FnOnce(&mut SuperSeed) -> T) -> T {
//!         act(&mut self.0.borrow_mut())
//!     }
//! }
//!
//! let geometry = Geometry::new(ByteCount(3 << 20), 1 << 20)?;
//! let callers = Rc::new(RefCell::new(SuperSeed::new(geometry.chunk_count())));
//! let mut now = Instant::now();
//! let mut stream: Serving<Callers, &str> = Serving::new(now, Limits::default(), 1);
//!
//! let file = FileKey { file_hash: FileHash([7; 32]), manifest_id: None };
//! let wanted = vec![ChunkRange { first: 0, count: 3 }];
//! let request = Request { wanted, ..Request::of(Ok(file)) };
//! let mut events = vec![Input::RequestsEnded, Input::Request(request)];
//! let mut sent = 0;
//! while !stream.is_ended() {
//!     // Steps 1 and 2.
//!     stream.handle(now, events.pop().unwrap_or(Input::Tick { streams: 1 }));
//!     // Steps 3 and 4.
//!     while let Some(output) = stream.poll() {
//!         match output {
//!             Output::Open { .. } => {
//!                 let super_seed = Callers(Rc::clone(&callers));
//!                 stream.handle(now, Input::Opened(OpenedFile { geometry, is_complete: true, super_seed }));
//!             }
//!             Output::Allow { bytes } => stream.handle(now, Input::Allowed { bytes }),
//!             Output::Reserve { .. } => stream.handle(now, Input::Reserved(true)),
//!             // Here the driver reads the disk.
//!             Output::Read(_) => stream.handle(now, Input::ReadDone),
//!             // Here it hands a message to the transport, which takes it after a while.
//!             Output::Send(block) => {
//!                 sent += block.len;
//!                 now += Duration::from_millis(1);
//!                 stream.handle(now, Input::Taken);
//!             }
//!             Output::Notify { .. } => stream.handle(now, Input::Taken),
//!             Output::End(end) => println!("{end:?}"),
//!             other => println!("{other:?}"),
//!         }
//!     }
//! }
//! assert_eq!(sent, 3 << 20);
//! # Ok::<(), peernet_engine::manifest::ManifestError>(())
//! ```

pub mod admission;
mod block;
pub mod complaints;
mod machine;
mod message;
pub mod pacing;
pub mod super_seed;
mod updates;
pub mod wanted;
mod window;

pub use self::block::BLOCK_BYTES_SMALL;
pub use self::machine::{COMPLAINTS_PER_REQUEST_MAX, Limits, Serving};
pub use self::message::{Block, End, FileKey, Input, OpenedFile, Output, RefusalReason, Request, RequestError};
pub use self::updates::{INTERVAL_MIN, INTERVAL_PER_STREAM};
pub use self::window::{BLOCK_BYTES_MAX, MESSAGES_MAX};
