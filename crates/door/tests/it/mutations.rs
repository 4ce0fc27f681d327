//! Random mutations of valid requests: whatever comes, the door answers well-formed HTTP or closes, and lives.

use peernet_door::DoorLimits;
use peernet_door::head::{HeadLimits, parse_head};

use super::client::{Client, get, post};
use super::{assert_alive, open, patient};

/// A small generator (xorshift), so that a failure's seed repeats it.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let head = "HEAD /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned();
    let expect = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab".to_owned();
    let chunked = "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_owned();
    let absolute = get("http://host/a/b?c=d");
    let two = format!("{}{}", post("/echo", "some body"), get("/hello"));
    [get("/hello"), post("/echo", "some body"), head, expect, chunked, absolute, two].map(String::into_bytes).to_vec()
}

/// One to four random edits.
fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const PIECES: [&[u8]; 14] = [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b":",
        b"\0",
        b"Content-Length: 9\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: b\r\n",
        b"99999999999999999999",
        b"\xff\xfe",
        b"HTTP/1.1",
        b"\t",
        b"-1",
    ];
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 => {
                let end = at + random.below(bytes.len() - at + 1);
                let copied = bytes[at..end].to_vec();
                bytes.splice(at..at, copied);
            }
            _ => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
        }
    }
    bytes
}

#[test]
fn mutated_requests_are_answered_or_closed() {
    let (door, _) = open(DoorLimits { linger: std::time::Duration::from_millis(20), ..patient() });
    let mut random = Random(0x5eed_0001);
    let seeds = seeds();
    for round in 0..3_000 {
        let bytes = mutate(&mut random, &seeds);
        let mut client = Client::connect(door.local_addr());
        // The door may have refused before all is sent.
        let _ = client.try_send(&bytes);
        client.finish_sending();
        // HEAD has answers without a body; only the connection's end is looked for there.
        if bytes.starts_with(b"HEAD") || bytes.windows(5).any(|w| w == b"HEAD ") {
            while !client.is_closed() && !client.closes_within(super::PATIENCE) {}
            continue;
        }
        let known = [100, 200, 204, 400, 411, 413, 414, 417, 431, 505];
        let answers = client.answers();
        assert!(answers.iter().all(|answer| known.contains(&answer.status)), "round {round}: {bytes:?}: {answers:?}");
    }
    assert_alive(&door);
}

#[test]
fn the_parser_stands_any_bytes_and_agrees_with_itself() {
    let mut random = Random(0x5eed_0002);
    let seeds = seeds();
    let limits = HeadLimits::default();
    for _ in 0..100_000 {
        let bytes = mutate(&mut random, &seeds);
        let Ok(Some(parsed)) = parse_head(&bytes, &limits) else { continue };
        assert!(parsed.head_bytes <= bytes.len() && bytes[..parsed.head_bytes].ends_with(b"\r\n\r\n"));
        assert!(parsed.head.path.starts_with('/') && !parsed.head.path.starts_with("//"));
        let headers = &parsed.head.headers;
        let count = |wanted: &str| headers.iter().filter(|(name, _)| name == wanted).count();
        assert!(count("host") == 1 || parsed.http_1_0 && count("host") == 0);
        assert!(count("content-length") <= 1 && count("transfer-encoding") == 0);
        assert!(headers.iter().all(|(_, value)| value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))));
        let exact = parse_head(&bytes[..parsed.head_bytes], &limits).unwrap().unwrap();
        assert_eq!(exact.head_bytes, parsed.head_bytes);
        assert!(parse_head(&bytes[..parsed.head_bytes - 1], &limits).unwrap().is_none());
    }
}
