//! The stages that the bytes of a chunk pass through.
//!
//! `receive` hashes the bytes of a chunk on its connection's thread and judges the whole chunk. `write` brings them to
//! the disk. `hash` computes the hash of the whole file behind the writes, and `deliver` hands the bytes to a sink in
//! order. `sync` makes them durable and then names them in the journal.

pub(crate) mod deliver;
pub(crate) mod hash;
pub(crate) mod receive;
pub(crate) mod sync;
pub(crate) mod write;
