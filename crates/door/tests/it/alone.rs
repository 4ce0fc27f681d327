//! Running a test again in a process of its own, where nothing else opens files or starts threads.

use std::process::Command;

/// Set in the child.
const MARK: &str = "PEERNET_TEST_ALONE";

/// Runs `body` in a child process that runs only the test called `name`, with at most `fds_max` open files.
pub(crate) fn alone(name: &str, fds_max: Option<u32>, body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    // Without a number, the soft limit is raised to the hard one.
    let limit = fds_max.map_or("-S -n \"$(ulimit -H -n)\"".to_owned(), |fds| format!("-n {fds}"));
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit {limit}; exec \"$0\" --exact \"$1\" --nocapture --test-threads 1")])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(MARK, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "no such test: {name}");
}

/// Threads and open files of this process.
pub(crate) fn threads_and_fds() -> (usize, usize) {
    let count = |folder| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// Bytes of memory this process has resident.
pub(crate) fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Fails where memory has grown by more than a few buffers.
pub(crate) fn assert_memory_flat(before: usize) {
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 30 * 1024 * 1024, "memory grew by {grown} bytes");
}
