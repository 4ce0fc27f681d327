//! The server's own threads: some answer single calls, some feed streams, one looks into complaints, one keeps time, one keeps
//! to the upload limit.
//! All are started here and joined by [`Disk::stop`].

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Core;
use super::calls;
use super::complaints;
use super::pace;
use super::stream::Stream;

/// How often overdue sends, idle streams and postponed news are looked at.
const UPKEEP_INTERVAL: Duration = Duration::from_millis(50);

/// Streams that have something to do. Every stream is in it at most once, so it is never full.
pub(super) type Pump = Sender<Arc<Stream>>;

pub(super) struct Disk {
    pump: Pump,
    core: Arc<Core>,
    stop: Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Disk {
    pub(super) fn start(core: &Arc<Core>) -> io::Result<Self> {
        let (pump, waiting_streams) = bounded(core.limits.streams_max + core.limits.disk_threads + 1);
        let (stop, stopped) = bounded(0);
        let mut disk = Self { pump, core: Arc::clone(core), stop, threads: Vec::new() };
        for number in 0..core.limits.disk_threads.max(1) {
            let (core_of_calls, stop) = (Arc::clone(core), stopped.clone());
            disk.spawn(format!("serve-call-{number}"), move || serve_calls(&core_of_calls, &stop))?;
            let (core_of_streams, waiting, stop) = (Arc::clone(core), waiting_streams.clone(), stopped.clone());
            disk.spawn(format!("serve-stream-{number}"), move || serve_streams(&core_of_streams, &waiting, &stop))?;
        }
        let (of_complaints, stop) = (Arc::clone(core), stopped.clone());
        disk.spawn("serve-recheck".to_owned(), move || complaints::look_into(&of_complaints, &stop))?;
        let (of_pace, stop) = (Arc::clone(core), stopped.clone());
        disk.spawn("serve-pace".to_owned(), move || pace::keep(&of_pace, &stop))?;
        let upkeep = Arc::clone(core);
        disk.spawn("serve-upkeep".to_owned(), move || keep_up(&upkeep, &stopped))?;
        Ok(disk)
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name).spawn(body)?);
        Ok(())
    }

    pub(super) fn pump(&self) -> Pump {
        self.pump.clone()
    }

    /// Tells every stream's caller that this peer leaves.
    pub(super) fn end_streams(&self) {
        for stream in self.core.streams.all() {
            stream.fail(super::handlers::stopping());
        }
    }

    /// Ends and joins the threads; what still waits for them is dropped, and its callers are told so.
    pub(super) fn stop(self) {
        drop(self.stop);
        for thread in self.threads {
            // A thread that panicked has said so; the others are still joined.
            let _ = thread.join();
        }
        self.core.waiting.close();
    }
}

fn serve_calls(core: &Core, stop: &Receiver<()>) {
    loop {
        crossbeam_channel::select! {
            recv(core.waiting.woken()) -> _ => {}
            recv(stop) -> _ => return,
        }
        while let Some((call, running)) = core.waiting.next() {
            calls::answer(core, call, running);
        }
    }
}

fn serve_streams(core: &Core, waiting: &Receiver<Arc<Stream>>, stop: &Receiver<()>) {
    loop {
        crossbeam_channel::select! {
            recv(waiting) -> stream => match stream {
                Ok(stream) => stream.step(core),
                Err(_) => return,
            },
            recv(stop) -> _ => return,
        }
    }
}

fn keep_up(core: &Core, stop: &Receiver<()>) {
    let ticks = crossbeam_channel::tick(UPKEEP_INTERVAL);
    let mut revocations = 0;
    loop {
        crossbeam_channel::select! {
            recv(ticks) -> _ => {
                let now = Instant::now();
                core.streams.upkeep().look(now);
                for call in core.waiting.expired() {
                    calls::expire(core, call);
                }
                let streams = core.streams.count();
                for stream in core.streams.all() {
                    stream.look(streams);
                    stream.look_at_access(core);
                }
                end_revoked(core, &mut revocations);
            }
            recv(stop) -> _ => return,
        }
    }
}

/// Ends the calls of callers who were expelled since the last look, which has the version `seen`.
fn end_revoked(core: &Core, seen: &mut u64) {
    let Some(membership) = &core.membership else { return };
    if std::mem::replace(seen, membership.version()) == *seen {
        return;
    }
    for stream in core.streams.all() {
        if let Some(expelled) = stream.caller().expelled(membership) {
            core.count_refused();
            stream.fail(expelled);
        }
    }
}
