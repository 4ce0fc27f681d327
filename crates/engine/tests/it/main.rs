//! The engine's rules, driven from outside as a tracker or a peer drives them.

mod economy;
mod errors;
mod files;
