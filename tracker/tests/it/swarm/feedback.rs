//! Effects of feedback on scores and balances, and reports that have none.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::client::{File, on_both, on_sqlite};

const GRANT_MT: i64 = 20_000;

#[test]
fn a_paid_success_moves_the_price_less_the_fee() {
    on_both(|api| {
        let sharer = api.peer(1);
        let asker = api.peer(2);
        let file = File::new(1, 3);
        sharer.announce_v1(&file);
        asker.lookup(&file);
        assert_eq!(asker.balance_mt(), GRANT_MT - 3_000, "in escrow");
        asker.report(&sharer, &file, 0, "SUCCESS_UPLOAD");
        assert_eq!(sharer.balance_mt(), GRANT_MT + 950);
        asker.report(&sharer, &file, 0, "SUCCESS_UPLOAD");
        assert_eq!(sharer.balance_mt(), GRANT_MT + 950, "the same chunk again");
        asker.report(&sharer, &file, 1, "SUCCESS_UPLOAD");
        assert_eq!(sharer.balance_mt(), GRANT_MT + 1_900);
        assert_eq!(sharer.me()["reputation_score"], 0.65, "one session: (1 + 1) / (1 + 2), rounded to 0.05");
    });
}

#[test]
fn without_a_ticket_a_lease_or_a_target_nothing_moves() {
    on_both(|api| {
        let sharer = api.peer(1);
        let asker = api.peer(2);
        let bystander = api.peer(3);
        let file = File::new(1, 3);
        let other = File::new(2, 3);
        sharer.announce_v1(&file);
        asker.report(&sharer, &file, 0, "SUCCESS_UPLOAD");
        asker.report(&sharer, &other, 0, "SUCCESS_UPLOAD");
        asker.report(&sharer, &file, 0, "FAILED_UPLOAD");
        asker.lookup(&file);
        asker.report(&asker, &file, 0, "SUCCESS_UPLOAD");
        asker.report(&bystander, &file, 0, "SUCCESS_UPLOAD");
        asker.report(&sharer, &file, 3, "SUCCESS_UPLOAD");
        sharer.report(&sharer, &file, 0, "SUCCESS_UPLOAD");
        let balances = [&sharer, &asker, &bystander].map(super::client::Peer::balance_mt);
        assert_eq!(balances, [GRANT_MT, GRANT_MT - 3_000, GRANT_MT]);
        assert!([&sharer, &asker, &bystander].iter().all(|peer| peer.me()["reputation_score"] == 0.5));
    });
}

#[test]
fn who_holds_some_chunks_is_paid_for_those() {
    on_both(|api| {
        let sharer = api.peer(1);
        let asker = api.peer(2);
        let file = File::new(1, 9);
        sharer.announce_v2(&file, json!({"bitmap": "wAA="}));
        asker.plan(&file);
        asker.report(&sharer, &file, 2, "SUCCESS_UPLOAD");
        assert_eq!(sharer.balance_mt(), GRANT_MT);
        let entry = json!({
            "target_peer_id": sharer.id, "file_hash": file.hash, "chunks": [[0, 9]], "event_type": "SUCCESS_UPLOAD",
        });
        let (status, answer) = asker.post("/api/v1/peers/feedback/batch", &json!({"events": [entry, entry]}));
        assert_eq!((status, answer), (202, json!({"status": "feedback received", "received": 18})));
        assert_eq!(sharer.balance_mt(), GRANT_MT + 1_900);
    });
}

#[test]
fn who_left_a_moment_ago_is_still_paid() {
    on_both(|api| {
        let sharer = api.peer(1);
        let asker = api.peer(2);
        let file = File::new(1, 2);
        sharer.announce_v1(&file);
        asker.lookup(&file);
        sharer.leave();
        assert!(asker.lookup(&file).is_empty());
        asker.report(&sharer, &file, 0, "SUCCESS_UPLOAD");
        assert_eq!(sharer.balance_mt(), GRANT_MT + 950);
    });
}

#[test]
fn many_reporters_at_once_settle_each_once() {
    on_both(|api| {
        let sharer = api.peer(1);
        let file = File::new(1, 2);
        sharer.announce_v1(&file);
        let askers: Vec<_> = (2..10).map(|n| api.peer(n)).collect();
        std::thread::scope(|scope| {
            for asker in &askers {
                scope.spawn(|| {
                    asker.lookup(&file);
                    (0..10).for_each(|n| asker.report(&sharer, &file, n % 2, "SUCCESS_UPLOAD"));
                });
            }
        });
        // Five of the first registrations of an hour had a grant: four of the askers pay, the others are free class.
        assert_eq!(sharer.me()["established"], true);
        assert_eq!(sharer.balance_mt(), GRANT_MT + 80_000 + 4 * 1_900);
    });
}

/// A version 1 program opens a connection for each report, all at once, and sends none of them again.
#[test]
fn a_thousand_reports_at_once_from_one_address_are_all_taken() {
    const CHUNKS: usize = 1_024;
    peernet_testkit::process::raise_open_files();
    on_sqlite(|api| {
        let sharer = api.peer(1);
        let asker = api.peer(2);
        let file = File::new(1, CHUNKS);
        sharer.announce_v1(&file);
        asker.lookup(&file);
        let ask = |index: usize| {
            let body = json!({
                "target_peer_id": sharer.id, "file_hash": file.hash, "chunk_index": index, "event_type": "SUCCESS_UPLOAD",
            });
            let mut stream = TcpStream::connect(api.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(asker.raw_post("/api/v1/peers/feedback", &body).as_bytes()).unwrap();
            stream
        };
        let streams: Vec<TcpStream> = (0..CHUNKS).map(ask).collect();
        for mut stream in streams {
            // As Go's client does with all but two connections: closes when it has its answer.
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 202");
        }
        // The ticket held the grant of 20 tokens; the fee is 5 %. Two sessions would establish, one does not.
        assert_eq!(sharer.balance_mt(), GRANT_MT + 19_000);
    });
}
