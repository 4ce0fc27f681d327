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
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 3);
        source.announce_v1(&file);
        caller.lookup(&file);
        assert_eq!(caller.balance_mt(), GRANT_MT - 3_000, "in escrow");
        caller.report(&source, &file, 0, "SUCCESS_UPLOAD");
        assert_eq!(source.balance_mt(), GRANT_MT + 950);
        caller.report(&source, &file, 0, "SUCCESS_UPLOAD");
        assert_eq!(source.balance_mt(), GRANT_MT + 950, "the same chunk again");
        caller.report(&source, &file, 1, "SUCCESS_UPLOAD");
        assert_eq!(source.balance_mt(), GRANT_MT + 1_900);
        assert_eq!(source.me()["reputation_score"], 0.65, "one session: (1 + 1) / (1 + 2), rounded to 0.05");
    });
}

#[test]
fn without_a_ticket_a_lease_or_a_target_nothing_moves() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let bystander = api.peer(3);
        let file = File::new(1, 3);
        let other = File::new(2, 3);
        source.announce_v1(&file);
        caller.report(&source, &file, 0, "SUCCESS_UPLOAD");
        caller.report(&source, &other, 0, "SUCCESS_UPLOAD");
        caller.report(&source, &file, 0, "FAILED_UPLOAD");
        caller.lookup(&file);
        caller.report(&caller, &file, 0, "SUCCESS_UPLOAD");
        caller.report(&bystander, &file, 0, "SUCCESS_UPLOAD");
        caller.report(&source, &file, 3, "SUCCESS_UPLOAD");
        source.report(&source, &file, 0, "SUCCESS_UPLOAD");
        let balances = [&source, &caller, &bystander].map(super::client::Peer::balance_mt);
        assert_eq!(balances, [GRANT_MT, GRANT_MT - 3_000, GRANT_MT]);
        assert!([&source, &caller, &bystander].iter().all(|peer| peer.me()["reputation_score"] == 0.5));
    });
}

#[test]
fn who_holds_some_chunks_is_paid_for_those() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 9);
        source.announce_v2(&file, json!({"bitmap": "wAA="}));
        caller.plan(&file);
        caller.report(&source, &file, 2, "SUCCESS_UPLOAD");
        assert_eq!(source.balance_mt(), GRANT_MT);
        let entry = json!({
            "target_peer_id": source.id, "file_hash": file.hash, "chunks": [[0, 9]], "event_type": "SUCCESS_UPLOAD",
        });
        let (status, answer) = caller.post("/api/v1/peers/feedback/batch", &json!({"events": [entry, entry]}));
        assert_eq!((status, answer), (202, json!({"status": "feedback received", "received": 18})));
        assert_eq!(source.balance_mt(), GRANT_MT + 1_900);
    });
}

#[test]
fn who_left_a_moment_ago_is_still_paid() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 2);
        source.announce_v1(&file);
        caller.lookup(&file);
        source.leave();
        assert!(caller.lookup(&file).is_empty());
        caller.report(&source, &file, 0, "SUCCESS_UPLOAD");
        assert_eq!(source.balance_mt(), GRANT_MT + 950);
    });
}

#[test]
fn many_reporters_at_once_settle_each_once() {
    on_both(|api| {
        let source = api.peer(1);
        let file = File::new(1, 2);
        source.announce_v1(&file);
        let callers: Vec<_> = (2..10).map(|n| api.peer(n)).collect();
        std::thread::scope(|scope| {
            for caller in &callers {
                scope.spawn(|| {
                    caller.lookup(&file);
                    (0..10).for_each(|n| caller.report(&source, &file, n % 2, "SUCCESS_UPLOAD"));
                });
            }
        });
        // Five of the first registrations of an hour had a grant: four of the callers pay, the others are free class.
        assert_eq!(source.me()["established"], true);
        assert_eq!(source.balance_mt(), GRANT_MT + 80_000 + 4 * 1_900);
    });
}

/// A version 1 program opens a connection for each report, all at once, and sends none of them again.
#[test]
fn a_thousand_reports_at_once_from_one_address_are_all_taken() {
    const CHUNKS: usize = 1_024;
    peernet_testkit::process::raise_open_files();
    on_sqlite(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, CHUNKS);
        source.announce_v1(&file);
        caller.lookup(&file);
        let ask = |index: usize| {
            let body = json!({
                "target_peer_id": source.id, "file_hash": file.hash, "chunk_index": index, "event_type": "SUCCESS_UPLOAD",
            });
            let mut stream = TcpStream::connect(api.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(caller.raw_post("/api/v1/peers/feedback", &body).as_bytes()).unwrap();
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
        assert_eq!(source.balance_mt(), GRANT_MT + 19_000);
    });
}
