//! Measures of a source tree that no compiler takes: sizes, packed code, arrows between modules, and prose.
//!
//! Each measure is a pure function over text. [`report`] sums them up for any checkout; the tidy test (`cargo tidy`) turns
//! them into rules. The parsing relies on rustfmt's layout and understands as much Rust as these measures need.

pub mod arrows;
pub mod markdown;
pub mod pages;
pub mod prose;
pub mod report;
pub mod rust;
pub mod shape;
pub mod surface;
pub mod threads;
pub mod tree;
