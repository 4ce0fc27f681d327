//! A TCP relay with faults: what stands between two honest ends when a test needs a slow, silent or vanishing one.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The changes that the relay makes to the bytes from the target to the client.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// At most this many bytes a second over all connections, 0 for no limit.
    pub bytes_per_second: u64,
    /// After this many bytes in all it says nothing more and keeps connections open, 0 for never.
    pub silent_after_bytes: u64,
    /// After this many bytes in all it closes every connection and refuses new ones, 0 for never.
    pub vanish_after_bytes: u64,
    /// Keeps every byte of both directions, for [`Relay::recorded`].
    pub record: bool,
}

/// A listening relay; dropping it closes everything.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: SyncSender<()>,
}

struct Shared {
    /// Until it is known, connections are closed at once.
    target: OnceLock<SocketAddr>,
    faults: Faults,
    passed: AtomicU64,
    connections: AtomicU64,
    closed: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
    recorded: Mutex<Vec<u8>>,
    /// When the next byte may pass, for the rate limit.
    next: Mutex<Instant>,
    /// Never receives: `recv_timeout` on it is the pause.
    stop: Mutex<Receiver<()>>,
}

impl Relay {
    /// Listens on a free loopback port and relays to `target`.
    pub fn start(target: SocketAddr, faults: Faults) -> std::io::Result<Self> {
        let relay = Self::start_unaimed(faults)?;
        relay.aim(target);
        Ok(relay)
    }

    /// The same for a target that wants to know the relay's address before it listens; see [`Relay::aim`].
    pub fn start_unaimed(faults: Faults) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (stop_sender, stop) = sync_channel(1);
        let shared = Arc::new(Shared {
            target: OnceLock::new(),
            faults,
            passed: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            sockets: Mutex::default(),
            recorded: Mutex::default(),
            next: Mutex::new(Instant::now()),
            stop: Mutex::new(stop),
        });
        let accepting = Arc::clone(&shared);
        std::thread::Builder::new().name("relay-accept".to_owned()).spawn(move || accepting.accept(&listener))?;
        Ok(Self { address, shared, _stop: stop_sender })
    }

    /// Says where to relay to; the first word counts.
    pub fn aim(&self, target: SocketAddr) {
        let _aimed_before = self.shared.target.set(target);
    }

    /// Returns the address to which clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of bytes that came back from the target so far.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// Returns the number of relayed connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns the bytes that passed so far, as an eavesdropper sees them; connections are in no order.
    pub fn recorded(&self) -> Vec<u8> {
        self.shared.recorded.lock().expect("no panic under the lock").clone()
    }

    /// Closes every connection and refuses new ones.
    pub fn vanish(&self) {
        self.shared.vanish();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.vanish();
        // Wakes the accept loop, which then sees `closed`.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            if self.closed.load(Ordering::SeqCst) {
                return;
            }
            let Some(Ok(server)) = self.target.get().map(TcpStream::connect) else { continue };
            self.connections.fetch_add(1, Ordering::SeqCst);
            self.relay(client, server);
        }
    }

    fn relay(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let (Ok(client_out), Ok(server_out)) = (client.try_clone(), server.try_clone()) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut sockets = self.sockets.lock().expect("no panic under the lock");
        sockets.extend([client.try_clone(), server.try_clone()].into_iter().flatten());
        drop(sockets);
        let up = Arc::clone(self);
        let down = Arc::clone(self);
        for (name, body) in [
            ("relay-up", Box::new(move || up.copy(client, server_out, false)) as Box<dyn FnOnce() + Send>),
            ("relay-down", Box::new(move || down.copy(server, client_out, true))),
        ] {
            let _ = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, faulty: bool) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            if self.faults.record {
                self.recorded.lock().expect("no panic under the lock").extend_from_slice(&buffer[..len]);
            }
            if faulty && !self.let_pass(len as u64) {
                continue;
            }
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }

    /// Counts and delays; false when the bytes are to be swallowed.
    fn let_pass(&self, len: u64) -> bool {
        let passed = self.passed.fetch_add(len, Ordering::SeqCst) + len;
        if self.faults.vanish_after_bytes > 0 && passed > self.faults.vanish_after_bytes {
            self.vanish();
            return false;
        }
        if self.faults.silent_after_bytes > 0 && passed > self.faults.silent_after_bytes {
            return false;
        }
        if self.faults.bytes_per_second > 0 {
            self.pace(Duration::from_secs_f64(len as f64 / self.faults.bytes_per_second as f64));
        }
        true
    }

    fn pace(&self, cost: Duration) {
        let until = {
            let mut next = self.next.lock().expect("no panic under the lock");
            *next = (*next).max(Instant::now()) + cost;
            *next
        };
        let pause = until.saturating_duration_since(Instant::now());
        let _timeout = self.stop.lock().expect("no panic under the lock").recv_timeout(pause);
    }

    fn vanish(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for socket in self.sockets.lock().expect("no panic under the lock").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut copy = socket.try_clone().unwrap();
                    let _ = std::io::copy(&mut copy, &mut socket);
                });
            }
        });
        address
    }

    #[test]
    fn bytes_pass_until_it_vanishes() {
        let relay = Relay::start(echo(), Faults { vanish_after_bytes: 5, ..Faults::default() }).unwrap();
        let mut client = TcpStream::connect(relay.address()).unwrap();
        let mut got = [0; 5];
        client.write_all(b"12345").unwrap();
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"12345");
        client.write_all(b"6").unwrap();
        assert_eq!(client.read(&mut got).unwrap_or(0), 0);
        assert_eq!(relay.connections(), 1);
    }
}
