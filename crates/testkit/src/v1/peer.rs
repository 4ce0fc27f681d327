//! The old program's peers: a sharer that serves whole chunks, and a downloader that opens a connection for each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_executor::block_on;
use grpcio::{
    CallOption, ChannelBuilder, Client, EnvBuilder, Environment, Method, MethodType, RpcContext, RpcStatus,
    RpcStatusCode, Server, ServerBuilder, ServerCredentials, ServiceBuilder, UnarySink,
};
use peernet_protos::grpc::{ChunkRequest, ChunkResponse, DOWNLOAD_CHUNK};

use super::{CHUNK_SIZE, V1Chunk, V1Tracker};
use crate::fixture::sha256_hex;

/// The old program waits this long for each chunk.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(15);

const DOWNLOAD: Method<ChunkRequest, ChunkResponse> = Method {
    ty: MethodType::Unary,
    name: DOWNLOAD_CHUNK,
    req_mar: grpcio::Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
    resp_mar: grpcio::Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
};

/// Asks one peer for one chunk over a connection of its own.
pub fn download_chunk(env: &Arc<Environment>, address: &str, file_hash: &str, index: i32) -> grpcio::Result<Vec<u8>> {
    let channel =
        ChannelBuilder::new(Arc::clone(env)).use_local_subchannel_pool(true).enable_http_proxy(false).connect(address);
    let request = ChunkRequest { file_hash: file_hash.to_owned(), chunk_index: index, ..ChunkRequest::default() };
    let options = CallOption::default().timeout(CHUNK_TIMEOUT);
    let reply = Client::new(channel).unary_call(&DOWNLOAD, &request, options)?;
    Ok(reply.chunk_data)
}

/// A gRPC environment for [`download_chunk`]; keep one for the process.
pub fn environment() -> Arc<Environment> {
    Arc::new(EnvBuilder::new().cq_count(1).name_prefix("v1-client").build())
}

/// The results of a version 1 download.
#[derive(Debug, PartialEq, Eq)]
pub struct V1Download {
    /// The downloaded file, `DIR/<hash>.download`.
    pub path: PathBuf,
    /// The number of failed attempts.
    pub failed_attempts: usize,
    /// The tracker's replies to feedback, by status: the old program expects 202.
    pub feedback: BTreeMap<u16, usize>,
}

/// The counters that the threads of a download share.
#[derive(Default)]
struct Tally {
    failed: AtomicU64,
    feedback: Mutex<BTreeMap<u16, usize>>,
}

/// Downloads as the old program does: every chunk at once, each over a connection of its own, the listed peers in
/// order, one feedback for each attempt. The file's length is that of the chunks listed. An error is what the old
/// program would print.
pub fn download(tracker: &V1Tracker, file_hash: &str, folder: &Path) -> Result<V1Download, String> {
    let chunks = tracker.lookup(file_hash).map_err(|answer| format!("lookup: {answer:?}"))?;
    if chunks.is_empty() {
        return Err("no chunks listed".to_owned());
    }
    if !chunks.keys().copied().eq(0..chunks.len() as u32) {
        return Err("chunk keys are not 0..n-1".to_owned());
    }
    let (parts, tally) = fetch_all(tracker, file_hash, &chunks)?;
    let whole = parts.concat();
    if sha256_hex(&whole) != file_hash {
        return Err("the file's hash is wrong".to_owned());
    }
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let path = folder.join(format!("{file_hash}.download"));
    std::fs::write(&path, whole).map_err(|e| e.to_string())?;
    let failed_attempts = tally.failed.into_inner() as usize;
    Ok(V1Download { path, failed_attempts, feedback: tally.feedback.into_inner().expect("no panic under the lock") })
}

fn fetch_all(
    tracker: &V1Tracker,
    file_hash: &str,
    chunks: &BTreeMap<u32, V1Chunk>,
) -> Result<(Vec<Vec<u8>>, Tally), String> {
    let env = environment();
    let tally = Tally::default();
    let fetcher = Fetcher { tracker, env: &env, file_hash, tally: &tally };
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = chunks
            .iter()
            .map(|(index, chunk)| {
                let work = move || fetcher.fetch_one(*index, chunk);
                std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work).expect("a thread")
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Result<Vec<_>, String>>()
    })?;
    Ok((parts, tally))
}

/// The parts that the threads of one download share.
#[derive(Clone, Copy)]
struct Fetcher<'a> {
    tracker: &'a V1Tracker,
    env: &'a Arc<Environment>,
    file_hash: &'a str,
    tally: &'a Tally,
}

impl Fetcher<'_> {
    fn fetch_one(self, index: u32, chunk: &V1Chunk) -> Result<Vec<u8>, String> {
        let mut last = "no peer listed".to_owned();
        for (id, address) in &chunk.peers {
            let got = download_chunk(self.env, address, self.file_hash, index as i32).map_err(|e| e.to_string());
            let good = got.as_ref().is_ok_and(|data| sha256_hex(data) == chunk.hash);
            let (status, _) = self.tracker.feedback(id, self.file_hash, index as usize, good);
            *self.tally.feedback.lock().expect("no panic under the lock").entry(status).or_default() += 1;
            match got {
                Ok(data) if good => return Ok(data),
                Ok(_) => last = "chunk hash mismatch".to_owned(),
                Err(error) => last = error,
            }
            self.tally.failed.fetch_add(1, Ordering::SeqCst);
        }
        Err(format!("chunk {index}: {last}"))
    }
}

/// A version 1 sharer: listens, then announces every chunk, then serves until dropped.
pub struct V1Sharer {
    /// SHA-256 of the shared file.
    pub file_hash: String,
    /// The address of the sharer, `host:port`, as it registered.
    pub address: String,
    /// The sharer's account.
    pub peer_id: String,
    /// The sharer's session, for further announces and lookups.
    pub tracker: V1Tracker,
    served: Arc<AtomicU64>,
    server: Server,
    _env: Arc<Environment>,
}

/// A change to each chunk before it is sent; wrong chunks are made here.
pub type Tamper = fn(index: i32, data: Vec<u8>) -> Vec<u8>;

impl V1Sharer {
    /// Shares `bytes` under `name` with a fresh account on the tracker at `base`.
    pub fn share(base: &str, name: &str, bytes: Vec<u8>, tamper: Tamper) -> Self {
        Self::share_through(base, name, bytes, tamper, |listens| listens)
    }

    /// The same, reached at another address than it listens on: `reached_at` is told the one and says the other.
    pub fn share_through(
        base: &str,
        name: &str,
        bytes: Vec<u8>,
        tamper: Tamper,
        reached_at: impl FnOnce(SocketAddr) -> SocketAddr,
    ) -> Self {
        let file_hash = sha256_hex(&bytes);
        let env = Arc::new(EnvBuilder::new().cq_count(1).name_prefix("v1-server").build());
        let served = Arc::new(AtomicU64::new(0));
        let chunks: Arc<Vec<Vec<u8>>> = Arc::new(bytes.chunks(CHUNK_SIZE).map(<[u8]>::to_vec).collect());
        let service = serve(Arc::clone(&chunks), file_hash.clone(), Arc::clone(&served), tamper);
        let mut server = ServerBuilder::new(Arc::clone(&env)).register_service(service).build().expect("a server");
        let port = server.add_listening_port("127.0.0.1:0", ServerCredentials::insecure()).expect("a free port");
        server.start();
        let address = reached_at(SocketAddr::from(([127, 0, 0, 1], port))).to_string();
        let mut tracker = V1Tracker::new(base);
        let peer_id = tracker.register(&address, "v1-password").expect("registers");
        for (index, chunk) in chunks.iter().enumerate() {
            let answer = tracker.announce(&file_hash, name, chunks.len(), index, &sha256_hex(chunk));
            assert_eq!(answer.0, 200, "{answer:?}");
        }
        Self { file_hash, address, peer_id, tracker, served, server, _env: env }
    }

    /// Returns the number of sent chunks.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }
}

impl Drop for V1Sharer {
    fn drop(&mut self) {
        self.server.cancel_all_calls();
        let _ = block_on(self.server.shutdown());
    }
}

fn serve(chunks: Arc<Vec<Vec<u8>>>, file_hash: String, served: Arc<AtomicU64>, tamper: Tamper) -> grpcio::Service {
    ServiceBuilder::new()
        .add_unary_handler(
            &DOWNLOAD,
            move |ctx: RpcContext<'_>, request: ChunkRequest, sink: UnarySink<ChunkResponse>| {
                let chunk = usize::try_from(request.chunk_index).ok().and_then(|index| chunks.get(index));
                let done = match chunk {
                    Some(data) if request.file_hash == file_hash => {
                        served.fetch_add(1, Ordering::SeqCst);
                        let chunk_data = tamper(request.chunk_index, data.clone());
                        sink.success(ChunkResponse { chunk_data, ..ChunkResponse::default() })
                    }
                    _ => sink.fail(RpcStatus::with_message(RpcStatusCode::NOT_FOUND, "chunk not found".to_owned())),
                };
                ctx.spawn(async move {
                    let _gone = done.await;
                });
            },
        )
        .build()
}
