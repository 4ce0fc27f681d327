//! Values and tools that every layer may use and that use no other layer.

pub mod calendar;
pub(crate) mod files;
pub mod location;
pub mod percent;
pub mod scopes;
pub(crate) mod sync;
