//! Version 1 and this version side by side, over a real tracker: old clients work unchanged with new peers and the
//! other way.

mod faults;
mod load;
mod mixed;
mod world;
