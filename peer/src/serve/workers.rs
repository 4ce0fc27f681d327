//! The threads of one server: disk threads for single calls and for streams, one that checks complaints, one that keeps
//! to the upload limit, and one for maintenance. [`Workers::stop`] joins them all.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::stream::Stream;
use super::{Core, calls, complaints, pace};

/// The interval between looks at overdue sends, idle streams and postponed updates.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(50);

/// The queue of streams that have something to do. Every stream is in it at most once, so it is never full.
pub(crate) type Pump = Sender<Arc<Stream>>;

/// Runs at each maintenance, with the time: ends calls that the transport has not sent in time.
pub(crate) type OnMaintenance = Box<dyn Fn(Instant) + Send>;

/// The threads, until they are stopped.
pub(crate) struct Workers {
    pump: Pump,
    core: Arc<Core>,
    stop: Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(crate) fn start(core: &Arc<Core>, on_maintenance: OnMaintenance) -> io::Result<Self> {
        let (pump, waiting_streams) = bounded(core.limits.streams_max + core.limits.disk_threads + 1);
        let (stop, stopped) = bounded(0);
        let mut workers = Self { pump, core: Arc::clone(core), stop, threads: Vec::new() };
        for number in 0..core.limits.disk_threads.max(1) {
            workers.spawn(format!("serve-call-{number}"), &stopped, serve_calls)?;
            let waiting = waiting_streams.clone();
            let serve = move |core: &Core, stop: &Receiver<()>| serve_streams(core, &waiting, stop);
            workers.spawn(format!("serve-stream-{number}"), &stopped, serve)?;
        }
        workers.spawn("serve-recheck".to_owned(), &stopped, complaints::check_all)?;
        workers.spawn("serve-pace".to_owned(), &stopped, pace::keep)?;
        let maintain = move |core: &Core, stop: &Receiver<()>| maintain(core, &on_maintenance, stop);
        workers.spawn("serve-upkeep".to_owned(), &stopped, maintain)?;
        Ok(workers)
    }

    fn spawn(
        &mut self,
        name: String,
        stop: &Receiver<()>,
        body: impl FnOnce(&Core, &Receiver<()>) + Send + 'static,
    ) -> io::Result<()> {
        let core = Arc::clone(&self.core);
        let stop = stop.clone();
        self.threads.push(thread::Builder::new().name(name).spawn(move || body(&core, &stop))?);
        Ok(())
    }

    pub(crate) fn pump(&self) -> Pump {
        self.pump.clone()
    }

    /// Ends and joins the threads. Calls that still wait for them are dropped, and their callers are told so.
    pub(crate) fn stop(self) {
        drop(self.stop);
        for thread in self.threads {
            // The panic was logged already; the other threads are still joined.
            let _ = thread.join();
        }
        self.core.calls.queue.close();
    }
}

fn serve_calls(core: &Core, stop: &Receiver<()>) {
    loop {
        crossbeam_channel::select! {
            recv(core.calls.queue.woken()) -> _ => {}
            recv(stop) -> _ => return,
        }
        while let Some(running) = core.calls.queue.next(Instant::now()) {
            calls::answer(core, Instant::now(), running);
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

fn maintain(core: &Core, on_maintenance: &OnMaintenance, stop: &Receiver<()>) {
    let ticks = crossbeam_channel::tick(MAINTENANCE_INTERVAL);
    let mut revocations = 0;
    loop {
        crossbeam_channel::select! {
            recv(ticks) -> _ => {
                let now = Instant::now();
                on_maintenance(now);
                for call in core.calls.queue.expired(now) {
                    calls::expire(core, call);
                }
                for stream in core.streams.all() {
                    stream.tick(core, now);
                }
                end_revoked(core, &mut revocations);
            }
            recv(stop) -> _ => return,
        }
    }
}

/// Ends the calls of callers that were expelled since the last look, which saw version `seen`.
fn end_revoked(core: &Core, seen: &mut u64) {
    let Some(membership) = &core.membership else { return };
    if std::mem::replace(seen, membership.version()) == *seen {
        return;
    }
    for stream in core.streams.all() {
        if let Some(expelled) = stream.caller().expelled(membership) {
            core.count_refused();
            stream.stop(expelled);
        }
    }
}
