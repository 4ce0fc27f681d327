//! Retries, against a server that plays a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Instant;

use peernet_engine::ids::{DeviceId, PeerId};
use serde_json::{Value, json};

use super::super::session::Session;
use super::*;
use crate::discovery::tracker::DeviceEnd;
use crate::home::{Credentials, CredentialsFile, DeviceLogin, Home};

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"good\": 1}";
const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"good\":";
const NOTHING: &str = "";

/// An answer with this status line, these further header lines and an error body.
fn answer(status: &str, headers: &str) -> String {
    let body = "{\"error\": \"so it is\", \"code\": \"word\"}";
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

/// Answers one connection after the other from the script, and returns the heads of the requests. A
/// connection beyond the script gets an answer that no case expects.
struct Server {
    address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn playing(script: Vec<String>, seen: impl Fn(usize) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let play = move || {
            let mut heads = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = request(&stream);
                if head.starts_with("END") {
                    break;
                }
                let beyond = answer("418 beyond the script", "");
                let _client_gone = stream.write_all(script.get(heads.len()).unwrap_or(&beyond).as_bytes());
                heads.push(head);
                seen(heads.len());
            }
            heads
        };
        Self { address, thread: std::thread::spawn(play) }
    }

    fn http(&self, stop: Cancel) -> Http {
        Http::new(&[format!("http://{}", self.address)], &TrackerOptions::default(), stop)
    }

    /// The heads of the requests that came.
    fn end(self) -> Vec<String> {
        TcpStream::connect(self.address).unwrap().write_all(b"END\r\n\r\n").unwrap();
        self.thread.join().unwrap()
    }
}

/// Reads all of it, so that closing the connection resets nothing.
fn request(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    let mut body_len = 0;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        if let Some(len) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            body_len = len.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    lines.take(body_len).read_to_end(&mut Vec::new()).unwrap();
    head
}

fn get() -> Call<'static> {
    Call::get("/x")
}

/// Not repeatable.
fn post() -> Call<'static> {
    Call::post("/x", &json!({"a": 1}))
}

/// Plays `script`, asks `call`, and expects this outcome after so many requests.
#[track_caller]
fn check(call: &Call<'_>, script: &[&str], requests: usize, expected: &dyn Fn(Result<Value, TrackerError>) -> bool) {
    let server = Server::playing(script.iter().map(ToString::to_string).collect(), |_| {});
    let outcome = server.http(Cancel::new()).json::<Value>(call);
    let shown = format!("{outcome:?}");
    assert!(expected(outcome), "{script:?}: {shown}");
    assert_eq!(server.end().len(), requests, "{script:?}: {shown}");
}

fn is_good(outcome: Result<Value, TrackerError>) -> bool {
    outcome.is_ok_and(|value| value["good"] == 1)
}

#[test]
fn every_call_is_repeated_after_a_busy_reply() {
    let later = answer("503 later", "");
    let soon = answer("503 later", "retry-after: 1\r\n");
    for call in [get(), post()] {
        check(&call, &[&later, &answer("429 slowly", ""), GOOD], 3, &is_good);
        let begun = Instant::now();
        check(&call, &[&soon, GOOD], 2, &is_good);
        assert!(begun.elapsed() >= Duration::from_secs(1), "it asked for a second: {:?}", begun.elapsed());
    }
    let busy = |outcome| matches!(outcome, Err(TrackerError::Busy { why, .. }) if why == "so it is");
    check(&get(), &[&later, &later, &later, &later, GOOD], 4, &busy);
    // Longer than a caller is made to wait.
    check(&get(), &[&answer("503 later", "retry-after: 3600\r\n"), GOOD], 1, &busy);
}

#[test]
fn a_call_with_a_lost_reply_is_repeated_only_where_harmless() {
    for lost in [CUT, NOTHING] {
        check(&get(), &[lost, GOOD], 2, &is_good);
        let unreachable = |outcome| matches!(outcome, Err(TrackerError::Unreachable { .. }));
        check(&post(), &[lost, GOOD], 1, &unreachable);
    }
}

#[test]
fn a_final_answer_is_final() {
    for status in ["400 no", "401 no", "404 no", "409 no", "422 no", "500 no"] {
        let number: u16 = status[..3].parse().unwrap();
        let answered = move |outcome| match outcome {
            Err(TrackerError::Answered { status, code, message }) => {
                (status, code.as_str(), message.as_str()) == (number, "word", "so it is")
            }
            _ => false,
        };
        check(&get(), &[&answer(status, ""), GOOD], 1, &answered);
    }
    let malformed = |outcome| matches!(outcome, Err(TrackerError::Malformed(_)));
    check(&get(), &[&answer("302 go", "location: http://127.0.0.1:1/\r\n"), GOOD], 1, &malformed);
    check(&get(), &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{!"], 1, &malformed);
    check(&get(), &["220 mail.example ESMTP\r\n\r\n"], 1, &malformed);
    let short = Call { answer_max: 5, ..get() };
    check(&short, &[GOOD, GOOD], 1, &malformed);
}

#[test]
fn a_refused_connection_is_tried_again_and_then_told() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for call in [get(), post()] {
        let begun = Instant::now();
        let outcome =
            Http::new(&[format!("http://{address}")], &TrackerOptions::default(), Cancel::new()).json::<Value>(&call);
        assert!(
            matches!(&outcome, Err(TrackerError::Unreachable { why, .. }) if why.contains("refused")),
            "{outcome:?}"
        );
        let pauses = PAUSE_START * 7;
        assert!(begun.elapsed() >= pauses && begun.elapsed() < pauses * 16, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_stop_ends_the_pause() {
    let stop = Cancel::new();
    let stopped = stop.clone();
    let server = Server::playing(vec![answer("503 later", "retry-after: 9\r\n")], move |_| stopped.cancel());
    let begun = Instant::now();
    let outcome = server.http(stop).json::<Value>(&get());
    assert_eq!(outcome, Err(TrackerError::Cancelled));
    // The tracker asked for a pause of 9 s.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(server.end().len(), 1);
}

#[test]
fn last_calls_of_a_stopping_node_use_a_token_due_for_renewal() {
    let folder = tempfile::tempdir().unwrap();
    let file = Home::at(folder.path()).credentials();
    let server = Server::playing(vec![GOOD.to_owned()], |_| {});
    let stop = Cancel::new();
    let http = server.http(stop.clone());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let tracker = http.first_url().to_owned();
    let peer_id = PeerId::from_random([1; 16]);
    let token = "the-token".to_owned();
    let obtained_at = now - 900;
    let expires_at = now + 100;
    let device = None;
    let credentials = Credentials { tracker, peer_id, address: None, token, obtained_at, expires_at, device };
    file.save(&credentials).unwrap();
    stop.cancel();
    let session = Session::new(http.first_url().to_owned(), file);
    assert!(is_good(session.run(&http, post())));
    let heads = server.end();
    assert!(heads.len() == 1 && heads[0].contains("Bearer the-token"), "{heads:?}");
}

/// A folder with a device's login whose access token has ended.
fn ended_login(folder: &std::path::Path, tracker: &str) -> CredentialsFile {
    let device = DeviceLogin {
        id: DeviceId::from_random([2; 16]),
        label: "laptop".to_owned(),
        scopes: Vec::new(),
        refresh_token: "pnr_first".to_owned(),
        refresh_expires_at: 0,
    };
    let credentials = Credentials {
        tracker: tracker.to_owned(),
        peer_id: PeerId::from_random([1; 16]),
        address: None,
        token: "the-token".to_owned(),
        obtained_at: 100,
        expires_at: 200,
        device: Some(device),
    };
    let file = Home::at(folder).credentials();
    file.save(&credentials).unwrap();
    file
}

fn renewed() -> String {
    let device_id = DeviceId::from_random([2; 16]).to_string();
    let peer_id = PeerId::from_random([1; 16]).to_string();
    let body = json!({"peer_id": peer_id, "token": "next-token", "device_id": device_id, "refresh_token": "pnr_next"});
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn a_renewal_with_a_lost_reply_is_stored_and_repeated_at_stop() {
    let folder = tempfile::tempdir().unwrap();
    let stop = Cancel::new();
    let stopped = stop.clone();
    let path = Home::at(folder.path()).credentials().path().to_owned();
    let seen = move |requests| match requests {
        1 => stopped.cancel(),
        3 => assert!(std::fs::read_to_string(&path).unwrap().contains("pnr_next")),
        _ => {}
    };
    let server = Server::playing(vec![NOTHING.to_owned(), renewed(), GOOD.to_owned()], seen);
    let http = server.http(stop);
    let session = Session::new(http.first_url().to_owned(), ended_login(folder.path(), http.first_url()));
    // Not a repeatable one: those are not begun any more.
    assert!(is_good(session.run(&http, post())));
    let heads = server.end();
    assert!(heads[..2].iter().all(|head| head.starts_with("POST /api/v1/tokens/refresh ")), "{heads:?}");
    assert!(heads.len() == 3 && heads[2].contains("Bearer next-token"), "{heads:?}");
}

#[test]
fn a_device_that_has_ended_asks_once_until_somebody_logs_in() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |code: &str| answer("401 no", "").replace("\"word\"", &format!("\"{code}\""));
    let refused = ["refresh_token_reused"].map(refused).map(|text| {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        format!("{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", head.lines().next().unwrap(), body.len())
    });
    let server = Server::playing(vec![refused[0].clone(), renewed(), GOOD.to_owned()], |_| {});
    let http = server.http(Cancel::new());
    let file = ended_login(folder.path(), http.first_url());
    let session = Session::new(http.first_url().to_owned(), file.clone());
    for _ in 0..3 {
        assert_eq!(session.run::<Value>(&http, get()), Err(TrackerError::DeviceEnded(DeviceEnd::Reused)));
    }
    let mut another = file.load().unwrap().unwrap();
    another.device.as_mut().unwrap().refresh_token = "pnr_another".to_owned();
    file.save(&another).unwrap();
    assert!(is_good(session.run(&http, get())));
    assert_eq!(server.end().len(), 3);
}

#[test]
fn calls_move_on_from_a_dead_tracker_and_stay_with_the_live_one() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let draining = Server::playing(vec![answer("503 Service Unavailable", "retry-after: 5\r\n")], |_| {});
    let alive = Server::playing(vec![GOOD.to_owned(), GOOD.to_owned()], |_| {});
    let bases = [dead, draining.address, alive.address].map(|address| format!("http://{address}"));
    let http = Http::new(&bases, &TrackerOptions::default(), Cancel::new());
    let began = Instant::now();
    for _ in 0..2 {
        assert_eq!(http.json::<Value>(&Call::get("/x")), Ok(json!({"good": 1})));
    }
    // The draining tracker asked for a pause of 5 s before each further try.
    assert!(began.elapsed() < Duration::from_millis(4_900), "no pause while another tracker can be asked");
    assert_eq!((draining.end().len(), alive.end().len()), (1, 2));
}
