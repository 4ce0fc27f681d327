//! What a source decides while it serves: who is admitted, what each caller is sent next, and how fast.

pub mod admission;
pub mod complaints;
pub mod pacing;
pub mod super_seed;
