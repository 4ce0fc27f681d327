//! The cost of a run of a process: wall clock, user and system time, peak memory.
//!
//! Linux counts what the parent had in memory at the spawn into its child's peak; so scenarios keep no files in memory.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The time after which a run counts as stuck.
const LIMIT: Duration = Duration::from_secs(1_200);

/// The cost of one finished process, or of a running one between two looks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// From spawn to exit.
    pub(crate) wall: Duration,
    /// User and system time together.
    pub(crate) cpu: Duration,
    /// Peak resident set, in KiB.
    pub(crate) peak_rss_kib: u64,
}

impl Cost {
    /// For the raw record.
    pub(crate) fn json(&self) -> Value {
        json!({"wall_s": self.wall.as_secs_f64(), "cpu_s": self.cpu.as_secs_f64(), "peak_rss_mib": self.peak_rss_kib as f64 / 1024.0})
    }

    /// Measures a process that continues to run, and that took `wall` for its work.
    pub(crate) fn of_running(pid: u32, wall: Duration) -> io::Result<Self> {
        Ok(Self { wall, cpu: cpu_so_far(pid)?, peak_rss_kib: peak_rss_kib(pid)? })
    }
}

/// Runs a command to its end; an error unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> io::Result<Cost> {
    let (status, cost) = run_to_any_end(command)?;
    if status != 0 {
        return Err(io::Error::other(format!("{command:?} ended with wait status {status}")));
    }
    Ok(cost)
}

/// Runs a command to its end, which is made to come after [`LIMIT`]; also gives the wait status, which is the signal's
/// number where one ended it.
pub(crate) fn run_to_any_end(command: &mut Command) -> io::Result<(i32, Cost)> {
    let began = Instant::now();
    let mut child = command.spawn()?;
    let pid = child.id();
    let (ended, end) = sync_channel::<()>(1);
    let (status, usage) = thread::scope(|scope| {
        scope.spawn(move || {
            // Dropped when the process is gone.
            if end.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let _gone = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        });
        let waited = wait4(&mut child);
        drop(ended);
        waited
    })?;
    let wall = began.elapsed();
    let seconds = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    Ok((status, Cost { wall, cpu, peak_rss_kib: usage.ru_maxrss as u64 }))
}

fn wait4(child: &mut Child) -> io::Result<(i32, libc::rusage)> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: rusage is plain data for which all zero is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the right types; the child is ours and not waited for elsewhere.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited == pid { Ok((status, usage)) } else { Err(io::Error::last_os_error()) }
}

/// User and system time of a running process so far, all its threads together (proc(5), stat, fields 14 and 15).
pub(crate) fn cpu_so_far(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let field =
        |index: usize| after_name.split_whitespace().nth(index - 3).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    // SAFETY: sysconf takes a constant and touches no memory of ours.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
    Ok(Duration::from_millis((field(14) + field(15)) * 1_000 / ticks_per_second))
}

/// Peak resident set of a running process, in KiB (proc(5), status, VmHWM).
pub(crate) fn peak_rss_kib(pid: u32) -> io::Result<u64> {
    status_kib(pid, "VmHWM:")
}

/// Resident set of a running process now, in KiB.
pub(crate) fn rss_kib(pid: u32) -> io::Result<u64> {
    status_kib(pid, "VmRSS:")
}

fn status_kib(pid: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).and_then(|v| v.parse().ok()).unwrap_or(0))
}
