//! Tests of complaints that a chunk came wrong: true ones, false ones, and floods of them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use peernet_protos::grpc::FetchRequest;

use super::*;

/// Makes a call that asks for a chunk, and complains once it is answered.
fn complain(scene: &Scene, messages: &[Vec<u32>]) -> Result<(), String> {
    let client = scene.client();
    let option = CallOption::default().timeout(15 * SECOND);
    let (mut sender, mut receiver) = client.duplex_streaming(&raw(FETCH, MethodType::Duplex), option).unwrap();
    block_on(async {
        let first = (wanted(scene, &[(0, 1)]), grpcio::WriteFlags::default());
        futures_util::SinkExt::send(&mut sender, first).await.map_err(text)?;
        receiver.next().await.unwrap().map_err(text)?;
        for complaints in messages {
            let request = FetchRequest { complaints: complaints.clone(), ..FetchRequest::default() };
            let message = (request.write_to_bytes().unwrap(), grpcio::WriteFlags::default());
            futures_util::SinkExt::send(&mut sender, message).await.map_err(text)?;
        }
        futures_util::SinkExt::close(&mut sender).await.map_err(text)
    })?;
    replies(receiver).map(drop)
}

/// Waits until so many chunks were read again, and a moment more, in which no other may be.
fn checked(scene: &Scene, expected: u64) -> UploadCounters {
    let deadline = Instant::now() + 30 * SECOND;
    while scene.server.counters().complaints_checked < expected {
        assert!(Instant::now() < deadline, "{:?}", scene.server.counters());
        let _a_moment = crossbeam_channel::after(SECOND / 50).recv();
    }
    let _a_moment = crossbeam_channel::after(SECOND / 2).recv();
    let counters = scene.server.counters();
    assert_eq!(counters.complaints_checked, expected, "{counters:?}");
    counters
}

/// Changes one byte of a chunk, and neither size nor time of the file.
fn alter(scene: &Scene, chunk: usize) {
    let path = scene.held.path();
    let before = std::fs::metadata(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[!scene.bytes[chunk * MIB + 5]], (chunk * MIB + 5) as u64).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(FileIdentity::of_path(&path).unwrap(), FileIdentity::of(&before));
}

#[test]
fn a_false_complaint_is_counted_and_changes_nothing() {
    let scene = scene(3 * MIB + 1, 1 << 20);
    complain(&scene, &[vec![0]]).unwrap();
    let counters = checked(&scene, 1);
    assert_eq!((counters.complaints, counters.complaints_upheld), (1, 0));
    assert!(!scene.held.is_withdrawn());
    let replies = scene.fetch(vec![wanted(&scene, &[(0, 4)])]).unwrap();
    assert_eq!(replies.iter().map(|reply| reply.data.len()).sum::<usize>(), scene.bytes.len());
}

#[test]
fn a_true_complaint_withdraws_an_unchanged_looking_file() {
    let scene = scene(3 * MIB + 1, 1 << 20);
    alter(&scene, 2);
    complain(&scene, &[vec![1, 3]]).unwrap();
    assert_eq!(checked(&scene, 2).complaints_upheld, 0);
    assert!(!scene.held.is_withdrawn(), "those chunks are right");
    // The call itself may end before it is over.
    let _ = complain(&scene, &[vec![2]]);
    assert_eq!(checked(&scene, 3).complaints_upheld, 1);
    assert!(scene.held.is_withdrawn());
    assert!(scene.fetch(vec![wanted(&scene, &[(0, 1)])]).is_err());
}

#[test]
fn a_check_of_a_truncated_file_fails() {
    let scene = scene(2 * MIB, 1 << 20);
    let opened = scene.held.open().unwrap();
    std::fs::write(scene.held.path(), "short").unwrap();
    assert!(scene.held.is_as_hashed(ChunkIndex(0)).is_err());
    drop(opened);
}

#[test]
fn a_flood_of_complaints_costs_a_few_reads() {
    const STREAMS: usize = 4;
    let scene = scene(20 * MIB, 1 << 20);
    let mut flood: Vec<Vec<u32>> = (0..100).map(|_| (0..20).collect()).collect();
    flood.push(vec![u32::MAX; 10_000]);
    let each: u64 = flood.iter().map(|message| message.len() as u64).sum();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..STREAMS).map(|_| scope.spawn(|| complain(&scene, &flood))).collect();
        for call in calls {
            call.join().unwrap().unwrap();
        }
    });
    let of_one_caller = peernet_engine::serving::complaints::Limits::default().per_caller_max as u64;
    let counters = checked(&scene, of_one_caller);
    assert_eq!((counters.complaints, counters.complaints_upheld), (STREAMS as u64 * each, 0));
    assert!(!scene.held.is_withdrawn());
}
