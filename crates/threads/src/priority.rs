//! The one system call about priority: Linux keeps nice values per thread.
#![allow(unsafe_code)]

/// Gives way to the other threads of this machine: adds `by` (1 to 19) to the calling thread's nice value. Best effort: a
/// system that refuses changes nothing.
pub fn lower_priority(by: i32) {
    // SAFETY: setpriority takes three integers and touches no memory of ours; 0 names the calling thread.
    let _best_effort = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, by.clamp(1, 19)) };
}
