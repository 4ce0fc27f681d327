//! The stages that a chunk's bytes pass through: received, written, hashed or handed on in order, and synced.

pub(crate) mod hash;
pub(crate) mod receive;
pub(crate) mod sync;
pub(crate) mod write;
