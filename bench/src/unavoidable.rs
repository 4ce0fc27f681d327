//! The work that no program can omit when it moves and verifies a file: each part alone, with the plainest code.
//!
//! The bytes have to pass a socket, be hashed twice (their chunk's digest and the whole file's) and be written.
//! Measured one by one in the run whose other figures they stand beside, they say how fast a perfect program would be
//! on the cores there are.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use peernet_testkit::fixture;
use serde_json::json;

use crate::measure::{self, Cost};
use crate::report::{Report, Round};

const BLOCK: usize = 256 << 10;
const TCP: &str = "part: TCP copy";
const SHA256: &str = "part: SHA-256, one core";
const WRITE: &str = "part: write";
const WRITE_AND_SYNC: &str = "part: write and sync";

/// Measures every part once with the bytes of `file`; written files go to `scratch` and are removed.
pub(crate) fn measure_all(report: &mut Report, round: Round, file: &Path, scratch: &Path) -> io::Result<()> {
    report.add(TCP, round, part(|| tcp_copy(file))?)?;
    report.add(SHA256, round, part(|| fixture::sha256_file(file).map(drop))?)?;
    report.add(WRITE, round, part(|| write(file, scratch).map(drop))?)?;
    std::fs::remove_file(scratch)?;
    report.add(WRITE_AND_SYNC, round, part(|| write(file, scratch)?.sync_all())?)?;
    std::fs::remove_file(scratch)
}

fn part(work: impl FnOnce() -> io::Result<()>) -> io::Result<serde_json::Value> {
    let own = std::process::id();
    let (began, before) = (Instant::now(), measure::cpu_so_far(own)?);
    work()?;
    let wall = began.elapsed();
    let cpu = measure::cpu_so_far(own)?.saturating_sub(before);
    let cost = Cost { wall, cpu, peak_rss_kib: 0 };
    Ok(json!({"wall_s": cost.wall.as_secs_f64(), "cpu_s": cost.cpu.as_secs_f64()}))
}

/// From the page cache through a socket of loopback into one buffer.
fn tcp_copy(file: &Path) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let (mut from, mut to) = (File::open(file)?, TcpStream::connect(address)?);
            // With a buffer, so that it is no splice: what is sent is in memory, as it is where it was encrypted or
            // framed.
            copy_blocks(&mut from, &mut to)
        });
        let (mut from, _) = listener.accept()?;
        copy_blocks(&mut from, &mut io::sink())?;
        sending.join().unwrap_or_else(|_| Err(io::Error::other("the sending half panicked")))
    })
}

fn write(file: &Path, scratch: &Path) -> io::Result<File> {
    let mut to = File::create(scratch)?;
    copy_blocks(&mut File::open(file)?, &mut to)?;
    Ok(to)
}

fn copy_blocks(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block)? {
            0 => return Ok(()),
            len => to.write_all(&block[..len])?,
        }
    }
}

/// Returns the time of a perfect program by the parts' medians: at least the longest sequential part, and at least
/// the work spread over all cores.
pub(crate) fn allowed(report: &Report, synced: bool) -> Option<Duration> {
    let write = if synced { WRITE_AND_SYNC } else { WRITE };
    let of = |who, column| report.median(who, column);
    let cores = thread::available_parallelism().map_or(1, usize::from) as f64;
    let work = of(TCP, "cpu_s")? + 2.0 * of(SHA256, "cpu_s")? + of(write, "cpu_s")?;
    let in_order = of(TCP, "wall_s")?.max(of(SHA256, "wall_s")?).max(of(write, "wall_s")?);
    Some(Duration::from_secs_f64(in_order.max(work / cores)))
}
