//! The two gRPC environments of the process, each with one completion queue and one poll thread: one for the server,
//! one for clients. They are made at the first use and kept for the life of the process, because making and dropping
//! them often crashes the C core now and then. One queue each, because more of them cost time on small machines
//! (measured).

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use grpcio::{EnvBuilder, Environment};

/// The environment of servers.
pub(super) fn server() -> Arc<Environment> {
    static SERVER: OnceLock<Arc<Environment>> = OnceLock::new();
    Arc::clone(SERVER.get_or_init(|| start("grpc-server")))
}

/// The environment of clients.
pub(super) fn client() -> Arc<Environment> {
    static CLIENT: OnceLock<Arc<Environment>> = OnceLock::new();
    Arc::clone(CLIENT.get_or_init(|| start("grpc-client")))
}

fn start(name: &str) -> Arc<Environment> {
    silence();
    Arc::new(EnvBuilder::new().cq_count(1).name_prefix(name).build())
}

/// Sends gRPC's messages to the program's logger, which is none unless the program has made one. Otherwise any client
/// that connects without TLS could write to standard error as often as it likes. Failures are reported by the calls
/// that fail.
fn silence() {
    // gRPC takes our function only while its log level lets messages through, and writes to standard error otherwise.
    let level = log::max_level();
    log::set_max_level(level.max(log::LevelFilter::Error));
    grpcio::redirect_log();
    log::set_max_level(level);
}

/// Runs `future` on this thread until it is ready, or `None` after `timeout`. The future stays usable.
pub(super) fn wait_for<F: Future + Unpin>(future: &mut F, timeout: Duration) -> Option<F::Output> {
    let deadline = Instant::now() + timeout;
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
