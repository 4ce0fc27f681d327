//! The one system call about priority: Linux keeps nice values per thread.
#![allow(unsafe_code)]

/// Lowers the calling thread's priority: adds `by` (1 to 19) to its nice value. If the system refuses, nothing changes.
pub fn lower_priority(by: i32) {
    // SAFETY: setpriority takes three integers and touches no memory of ours; 0 names the calling thread.
    let _best_effort = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, by.clamp(1, 19)) };
}
