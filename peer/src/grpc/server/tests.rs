//! Tests of a server with callers of all kinds, through gRPC itself.

mod authorize;
mod called;
mod complaints;
mod memory;
mod tls;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_executor::block_on;
use futures_util::StreamExt;
use grpcio::{CallOption, ClientDuplexReceiver, Error, GrpcSlice, Marshaller, MessageReader, Method, MethodType};
use peernet_engine::ids::{ByteCount, ChunkHash, ChunkIndex, FileHash, ManifestId};
use peernet_engine::manifest::{Geometry, Manifest};
use peernet_protos::grpc::fetch_reply::Kind;
use peernet_protos::grpc::{ChunkRange, ChunkResponse, DOWNLOAD_CHUNK, FETCH, FetchReply, GET_MANIFEST};
use protobuf::Message;
use sha2::{Digest, Sha256};

use super::*;
use crate::files::FileIdentity;
use crate::files::SharedFile;

const MIB: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

struct One(Arc<SharedFile>);

impl FileCatalog for One {
    fn find(&self, file_hash: FileHash, id: Option<ManifestId>) -> Option<Arc<SharedFile>> {
        let manifest = self.0.manifest();
        let same = manifest.file_hash() == file_hash && id.is_none_or(|id| manifest.id() == id);
        same.then(|| Arc::clone(&self.0))
    }

    fn withdraw_unreadable(&self, _: &SharedFile) {}

    fn withdraw_altered(&self, held: &SharedFile, _: ChunkIndex) {
        held.withdraw();
    }
}

struct Scene {
    _folder: tempfile::TempDir,
    bytes: Vec<u8>,
    held: Arc<SharedFile>,
    server: PeerServer,
}

fn scene(len: usize, chunk_size: u32) -> Scene {
    scene_with(len, chunk_size, UploadLimits::default())
}

fn scene_with(len: usize, chunk_size: u32, limits: UploadLimits) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let bytes: Vec<u8> = (0..len).map(|i| (i * 31 + i / 251) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let geometry = Geometry::new(ByteCount(len as u64), chunk_size).unwrap();
    let hashes = bytes.chunks(chunk_size as usize).map(|chunk| ChunkHash(Sha256::digest(chunk).into())).collect();
    let manifest = Manifest::new(FileHash(Sha256::digest(&bytes).into()), geometry, hashes).unwrap();
    let identity = FileIdentity::of_path(&path).unwrap();
    let held = SharedFile::complete(Arc::new(manifest), path, identity, "file".to_owned());
    let catalog = Arc::new(One(Arc::clone(&held)));
    let server = PeerServer::start(Listen::plaintext("127.0.0.1:0"), catalog, limits).unwrap();
    Scene { _folder: folder, bytes, held, server }
}

fn raw_send(bytes: &Vec<u8>, buffer: &mut GrpcSlice) -> grpcio::Result<()> {
    *buffer = GrpcSlice::from(bytes.as_slice());
    Ok(())
}

fn raw_receive(mut reader: MessageReader) -> grpcio::Result<Vec<u8>> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut out).unwrap();
    Ok(out)
}

type Raw = Method<Vec<u8>, Vec<u8>>;

fn raw(name: &'static str, ty: MethodType) -> Raw {
    let req_mar = Marshaller { ser: raw_send, de: raw_receive };
    let resp_mar = Marshaller { ser: raw_send, de: raw_receive };
    Method { ty, name, req_mar, resp_mar }
}

/// The smallest memory that a node may have.
fn small_memory() -> Arc<Throttle> {
    Throttle::new(&SpeedLimits { max_memory: crate::memory::MemoryMax::MIN, ..SpeedLimits::default() })
}

impl Scene {
    /// The same with a server under limits that downloads share.
    fn among(self, throttle: &Throttle) -> Self {
        let catalog = Arc::new(One(Arc::clone(&self.held)));
        let listen = Listen::plaintext("127.0.0.1:0");
        let server = PeerServer::start_among(listen, catalog, UploadLimits::default(), throttle).unwrap();
        Self { server, ..self }
    }

    fn client(&self) -> grpcio::Client {
        let builder = ChannelBuilder::new(environment::client()).enable_http_proxy(false);
        let channel = builder.use_local_subchannel_pool(true).connect(&self.server.local_addr().to_string());
        grpcio::Client::new(channel)
    }

    fn file_hash(&self) -> FileHash {
        self.held.manifest().file_hash()
    }

    fn chunk(&self, client: &grpcio::Client, file_hash: &str, chunk_index: i32) -> Result<Vec<u8>, String> {
        let request =
            peernet_protos::grpc::ChunkRequest { file_hash: file_hash.to_owned(), chunk_index, ..Default::default() };
        let bytes = unary(client, DOWNLOAD_CHUNK, &request.write_to_bytes().unwrap())?;
        Ok(ChunkResponse::parse_from_bytes(&bytes).unwrap().chunk_data)
    }

    fn fetch(&self, messages: Vec<Vec<u8>>) -> Result<Vec<FetchReply>, String> {
        let client = self.client();
        let method = raw(FETCH, MethodType::Duplex);
        let (mut sender, receiver) =
            client.duplex_streaming(&method, CallOption::default().timeout(15 * SECOND)).unwrap();
        block_on(async {
            for message in messages {
                if futures_util::SinkExt::send(&mut sender, (message, grpcio::WriteFlags::default())).await.is_err() {
                    break;
                }
            }
            let _ = futures_util::SinkExt::close(&mut sender).await;
        });
        replies(receiver)
    }
}

fn replies(receiver: ClientDuplexReceiver<Vec<u8>>) -> Result<Vec<FetchReply>, String> {
    let all: Vec<grpcio::Result<Vec<u8>>> = block_on(receiver.collect());
    let parsed = all.into_iter().map(|reply| reply.map(|bytes| FetchReply::parse_from_bytes(&bytes).unwrap()));
    parsed.collect::<Result<_, _>>().map_err(text)
}

fn unary(client: &grpcio::Client, name: &'static str, request: &Vec<u8>) -> Result<Vec<u8>, String> {
    client.unary_call(&raw(name, MethodType::Unary), request, CallOption::default().timeout(30 * SECOND)).map_err(text)
}

fn text(error: Error) -> String {
    match error {
        Error::RpcFailure(status) => format!("{:?} {}", status.code(), status.message()),
        other => other.to_string(),
    }
}

fn wanted(scene: &Scene, ranges: &[(u32, u32)]) -> Vec<u8> {
    let range = |(first, count): &(u32, u32)| ChunkRange { first: *first, count: *count, ..Default::default() };
    let request = peernet_protos::grpc::FetchRequest {
        file_hash: scene.file_hash().as_bytes().to_vec(),
        wanted: ranges.iter().map(range).collect(),
        ..Default::default()
    };
    request.write_to_bytes().unwrap()
}

#[test]
fn a_version_1_call_gets_its_chunk_or_a_status() {
    let scene = scene(2 * MIB + 9, 1 << 20);
    let client = scene.client();
    let hash = scene.file_hash().to_string();
    for (index, chunk) in scene.bytes.chunks(MIB).enumerate() {
        assert!(scene.chunk(&client, &hash, index as i32).unwrap() == chunk, "{index}");
    }
    for (hash, index, expected) in [
        (hash.as_str(), 3, "11-OUT_OF_RANGE chunk 3 is out of range: the file has 3 chunks"),
        (&hash, -1, "11-OUT_OF_RANGE chunk -1"),
        (&hash, i32::MAX, "11-OUT_OF_RANGE"),
        (&hash, i32::MIN, "11-OUT_OF_RANGE"),
        (&"0".repeat(64), 0, "5-NOT_FOUND this peer does not share that file"),
        (&hash.to_uppercase(), 0, "3-INVALID_ARGUMENT file_hash"),
        ("", 0, "3-INVALID_ARGUMENT"),
        ("../../etc/passwd", 0, "3-INVALID_ARGUMENT"),
    ] {
        let error = scene.chunk(&client, hash, index).unwrap_err();
        assert!(error.starts_with(expected), "{hash} {index}: {error}");
    }
    let larger = self::scene(3 * MIB, 2 << 20);
    let error = larger.chunk(&larger.client(), &larger.file_hash().to_string(), 0).unwrap_err();
    assert!(error.starts_with("9-FAILED_PRECONDITION"), "{error}");
}

#[test]
fn garbage_gets_an_error_and_the_server_goes_on() {
    let scene = scene(MIB, 1 << 20);
    let client = scene.client();
    for garbage in [vec![0xff; 40], vec![0x0a, 0x05, 0xc3], vec![0; 200_000]] {
        for name in [DOWNLOAD_CHUNK, GET_MANIFEST, "/proto.PeerService/Nothing", "/"] {
            assert!(unary(&client, name, &garbage).is_err(), "{name}");
        }
        assert!(scene.fetch(vec![garbage.clone()]).is_err());
        assert!(scene.fetch(vec![wanted(&scene, &[(0, 1)]), garbage]).is_err());
    }
    for ranges in [&[(0, 0)][..], &[(u32::MAX, 2)], &[(0, 16_385)], &[(5, 1); 1_025]] {
        assert!(scene.fetch(vec![wanted(&scene, ranges)]).is_err(), "{:?}", ranges[0]);
    }
    let error = scene.fetch(vec![Vec::new()]).unwrap_err();
    assert!(error.starts_with("3-INVALID_ARGUMENT file_hash"), "{error}");
    assert!(scene.chunk(&client, &scene.file_hash().to_string(), 0).is_ok());
}

#[test]
fn a_stream_sends_an_update_and_the_wanted_chunks() {
    let scene = scene(5 * MIB + 3, 2 << 20);
    let replies = scene.fetch(vec![wanted(&scene, &[(2, 1), (0, 1)]), wanted(&scene, &[(3, 2)])]).unwrap();
    assert!(replies[0].kind.value() == Kind::AVAILABLE as i32 && replies[0].complete);
    let mut chunks: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut refused = Vec::new();
    for reply in &replies[1..] {
        match reply.kind.enum_value().unwrap() {
            Kind::BLOCK => {
                if reply.offset == 0 {
                    chunks.push((reply.chunk_index, Vec::new()));
                }
                let (index, bytes) = chunks.last_mut().unwrap();
                assert_eq!((*index, bytes.len()), (reply.chunk_index, reply.offset as usize));
                bytes.extend(&reply.data);
                assert_eq!(reply.last, bytes.len() == scene.bytes.chunks(2 * MIB).nth(*index as usize).unwrap().len());
            }
            Kind::REFUSED => refused.push(reply.chunk_index),
            Kind::AVAILABLE => panic!("nothing is new"),
        }
    }
    assert_eq!(refused, [3, 4]);
    assert_eq!(chunks.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2, 0]);
    for (index, bytes) in chunks {
        assert!(bytes == scene.bytes.chunks(2 * MIB).nth(index as usize).unwrap());
    }
    let unknown = peernet_protos::grpc::FetchRequest { file_hash: vec![9; 32], ..Default::default() };
    let error = scene.fetch(vec![unknown.write_to_bytes().unwrap()]).unwrap_err();
    assert!(error.starts_with("5-NOT_FOUND"), "{error}");
}

#[test]
fn a_thousand_connections_at_once_are_all_served() {
    const CALLS: usize = 1_024;
    const THREADS: usize = 16;
    let scene = scene(3 * MIB + 5, 1 << 20);
    let hash = scene.file_hash().to_string();
    let all_open = Barrier::new(THREADS);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let clients: Vec<_> = (0..CALLS / THREADS).map(|_| scene.client()).collect();
                all_open.wait();
                let method = raw(DOWNLOAD_CHUNK, MethodType::Unary);
                let calls: Vec<_> = clients
                    .iter()
                    .enumerate()
                    .map(|(n, client)| {
                        let chunk_index = (n % 4) as i32;
                        let request = peernet_protos::grpc::ChunkRequest {
                            file_hash: hash.clone(),
                            chunk_index,
                            ..Default::default()
                        };
                        let option = CallOption::default().timeout(15 * SECOND);
                        client.unary_call_async(&method, &request.write_to_bytes().unwrap(), option).unwrap()
                    })
                    .collect();
                for (n, call) in calls.into_iter().enumerate() {
                    match block_on(call) {
                        Ok(bytes) => {
                            let data = ChunkResponse::parse_from_bytes(&bytes).unwrap().chunk_data;
                            assert!(data == scene.bytes.chunks(MIB).nth(n % 4).unwrap());
                        }
                        Err(error) => failures.lock().unwrap().push(text(error)),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {CALLS} failed: {:?}", failures.len(), failures.first());
    assert_eq!(scene.server.counters().chunk_calls, CALLS as u64);
}

#[test]
fn a_caller_that_does_not_read_takes_little_memory() {
    let scene = scene(64 * MIB, 1 << 20);
    let client = scene.client();
    let method = raw(FETCH, MethodType::Duplex);
    let (mut sender, receiver) = client.duplex_streaming(&method, CallOption::default().timeout(60 * SECOND)).unwrap();
    let message = (wanted(&scene, &[(0, 64)]), grpcio::WriteFlags::default());
    block_on(futures_util::SinkExt::send(&mut sender, message)).unwrap();
    // `receiver` is not read. Another caller gets the whole file meanwhile.
    let replies = scene.fetch(vec![wanted(&scene, &[(0, 64)])]).unwrap();
    assert_eq!(replies.iter().map(|reply| reply.data.len()).sum::<usize>(), 64 * MIB);
    let unread = scene.server.counters().bytes_sent - 64 * MIB as u64;
    assert!(unread < 24 * MIB as u64, "{unread} bytes were read for a caller that takes none");
    drop(receiver);
    scene.server.stop(SECOND);
}

#[test]
fn callers_that_hold_all_memory_do_not_stop_others() {
    let throttle = small_memory();
    let scene = scene(16 * MIB, 1 << 20).among(&throttle);
    let method = raw(FETCH, MethodType::Duplex);
    let stuck: Vec<_> = (0..4)
        .map(|_| {
            let client = scene.client();
            let option = CallOption::default().timeout(60 * SECOND);
            let (mut sender, receiver) = client.duplex_streaming(&method, option).unwrap();
            let message = (wanted(&scene, &[(0, 16)]), grpcio::WriteFlags::default());
            block_on(futures_util::SinkExt::send(&mut sender, message)).unwrap();
            (client, sender, receiver)
        })
        .collect();
    // Wait until the counter stands still.
    let mut before = 0;
    let deadline = std::time::Instant::now() + 30 * SECOND;
    loop {
        let _a_moment = crossbeam_channel::after(SECOND / 2).recv();
        let now = scene.server.counters().blocks_sent;
        if now == before && now > 0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "callers that do not read get ever more");
        before = now;
    }
    let replies = scene.fetch(vec![wanted(&scene, &[(0, 2)])]).unwrap();
    assert_eq!(replies.iter().map(|reply| reply.data.len()).sum::<usize>(), 2 * MIB);
    drop(stuck);
    scene.server.stop(SECOND);
}

#[test]
fn a_stop_ends_idle_streams_at_once() {
    let scene = scene(8 * MIB, 1 << 20);
    let client = scene.client();
    let method = raw(FETCH, MethodType::Duplex);
    let (mut sender, mut receiver) =
        client.duplex_streaming(&method, CallOption::default().timeout(60 * SECOND)).unwrap();
    let message = (wanted(&scene, &[]), grpcio::WriteFlags::default());
    block_on(futures_util::SinkExt::send(&mut sender, message)).unwrap();
    assert!(block_on(receiver.next()).unwrap().is_ok());
    let begun = std::time::Instant::now();
    scene.server.stop(20 * SECOND);
    assert!(begun.elapsed() < 5 * SECOND, "{:?}", begun.elapsed());
    let end = block_on(receiver.next()).unwrap().map_err(text);
    assert!(end.as_ref().is_err_and(|text| text.contains("stopping")), "{end:?}");
}

/// Bytes that came to each reader so far.
type Tally = Vec<Arc<AtomicU64>>;

/// Starts streams that read the whole file, and one version 1 caller that asks for eight chunks at once, until `stop`.
fn readers<'a>(scope: &'a std::thread::Scope<'a, '_>, scene: &'a Scene, count: usize, stop: &'a AtomicBool) -> Tally {
    let tally: Tally = (0..=count).map(|_| Arc::default()).collect();
    for got in &tally[..count] {
        let got = Arc::clone(got);
        scope.spawn(move || {
            let client = scene.client();
            let option = CallOption::default().timeout(60 * SECOND);
            let (mut sender, mut receiver) = client.duplex_streaming(&raw(FETCH, MethodType::Duplex), option).unwrap();
            let message = (wanted(scene, &[(0, 64)]), grpcio::WriteFlags::default());
            block_on(futures_util::SinkExt::send(&mut sender, message)).unwrap();
            while let (false, Some(Ok(reply))) = (stop.load(Ordering::Acquire), block_on(receiver.next())) {
                let reply = FetchReply::parse_from_bytes(&reply).unwrap();
                got.fetch_add(reply.data.len() as u64, Ordering::AcqRel);
            }
        });
    }
    let got = Arc::clone(&tally[count]);
    scope.spawn(move || {
        let client = scene.client();
        let hash = scene.file_hash().to_string();
        std::thread::scope(|calls| {
            for _ in 0..8 {
                calls.spawn(|| {
                    while !stop.load(Ordering::Acquire) {
                        let len = scene.chunk(&client, &hash, 0).unwrap().len();
                        got.fetch_add(len as u64, Ordering::AcqRel);
                    }
                });
            }
        });
    });
    tally
}

#[test]
fn readers_share_the_upload_limit_equally() {
    const RATE: u64 = 8 << 20;
    let limits = UploadLimits { rate_max: Rate::new(RATE), ..UploadLimits::default() };
    let scene = scene_with(64 * MIB, 1 << 20, limits);
    let stop = AtomicBool::new(false);
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        let tally = readers(scope, &scene, 4, &stop);
        let sum = |tally: &Tally| tally.iter().map(|got| got.load(Ordering::Acquire)).sum::<u64>();
        while sum(&tally) < 24 << 20 {
            let _a_moment = crossbeam_channel::after(SECOND / 50).recv();
            assert!(begun.elapsed() < 60 * SECOND, "{tally:?}");
        }
        let sent = scene.server.counters().bytes_sent;
        let took = begun.elapsed().as_secs_f64();
        let got: Vec<u64> = tally.iter().map(|got| got.load(Ordering::Acquire)).collect();
        assert!(sent as f64 <= RATE as f64 * (took + 0.1) + MIB as f64, "{sent} in {took} s");
        // The calls' chunks come whole, and the readers did not begin at the same moment.
        let even = sent / got.len() as u64;
        assert!(got.iter().all(|got| got.abs_diff(even) <= 5 * MIB as u64 / 2), "{got:?}");
        let (uploads, calls) = scene.server.uploads();
        let sums: u64 = uploads.iter().map(|upload| upload.bytes).sum();
        assert!(uploads.len() == 4 && calls.running == 8 && sums + calls.bytes >= sent, "{uploads:?} {calls:?}");
        for upload in &uploads {
            assert!(upload.address.starts_with("127.0.0.1:") && upload.file_name == "file", "{upload:?}");
            assert!(upload.rate > 0.0 && upload.bytes > 0 && upload.age <= begun.elapsed(), "{upload:?}");
        }
        stop.store(true, Ordering::Release);
        // Every reader ends at once.
        scene.server.set_rate_max(None);
    });
}

#[test]
fn a_stream_beyond_the_connection_limit_is_refused() {
    let max_connections = std::num::NonZeroU32::new(2);
    let throttle = Throttle::new(&SpeedLimits { max_connections, ..SpeedLimits::default() });
    let connections = throttle.connections();
    let scene = scene(MIB, 1 << 20).among(&throttle);
    let elsewhere = connections.begin().unwrap();
    assert!(scene.fetch(vec![wanted(&scene, &[(0, 1)])]).is_ok());
    // The first call's slot is free once the server has seen its end.
    let begun = std::time::Instant::now();
    let _more = loop {
        if let Some(place) = connections.begin() {
            break place;
        }
        assert!(begun.elapsed() < 10 * SECOND, "the first call has not ended");
        std::thread::yield_now();
    };
    let error = scene.fetch(vec![wanted(&scene, &[(0, 1)])]).unwrap_err();
    assert!(error.starts_with("8-RESOURCE_EXHAUSTED"), "{error}");
    drop(elsewhere);
    scene.fetch(vec![wanted(&scene, &[(0, 1)])]).unwrap();
}

#[test]
fn a_stop_does_not_wait_for_the_upload_limit() {
    let limits = UploadLimits { rate_max: Rate::new(1), ..UploadLimits::default() };
    let scene = scene_with(4 * MIB, 1 << 20, limits);
    let client = scene.client();
    let file_hash = scene.file_hash().to_string();
    let request = peernet_protos::grpc::ChunkRequest { file_hash, ..Default::default() }.write_to_bytes().unwrap();
    let call = std::thread::spawn(move || unary(&client, DOWNLOAD_CHUNK, &request));
    let method = raw(FETCH, MethodType::Duplex);
    let client = scene.client();
    let (mut sender, receiver) = client.duplex_streaming(&method, CallOption::default().timeout(60 * SECOND)).unwrap();
    let message = (wanted(&scene, &[(0, 4)]), grpcio::WriteFlags::default());
    block_on(futures_util::SinkExt::send(&mut sender, message)).unwrap();
    let begun = std::time::Instant::now();
    while scene.server.core.waiting_for_turn() < 2 {
        let _a_moment = crossbeam_channel::after(SECOND / 50).recv();
        assert!(begun.elapsed() < 30 * SECOND);
    }
    let begun = std::time::Instant::now();
    scene.server.stop(20 * SECOND);
    assert!(begun.elapsed() < 5 * SECOND, "{:?}", begun.elapsed());
    for error in [call.join().unwrap().unwrap_err(), replies(receiver).unwrap_err()] {
        assert!(error.contains("stopping"), "{error}");
    }
}
