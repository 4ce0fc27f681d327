//! A small protobuf reader for the replies that carry payload. It takes fields in any order and skips unknown ones, as
//! protobuf demands. The payload is not copied where it is the last field, as our own servers send it.

use std::fmt;
use std::io::{self, BufRead, Cursor, Read};

use peernet_protos::grpc::fetch_reply::Reason;
use peernet_protos::limits::{BLOCK_BYTES_MAX, CHUNKS_MAX};

/// The longest AVAILABLE bitmap, in bytes.
const BITMAP_BYTES_MAX: usize = CHUNKS_MAX as usize / 8;
/// The most payload of one message: a version 1 chunk or a block.
const PAYLOAD_BYTES_MAX: usize = BLOCK_BYTES_MAX as usize;

const CHUNK_DATA: u64 = 1;
const KIND: u64 = 1;
const CHUNK_INDEX: u64 = 2;
const OFFSET: u64 = 3;
const LAST: u64 = 4;
const REASON: u64 = 5;
const COMPLETE: u64 = 6;
const BITMAP: u64 = 7;
const GIVEN: u64 = 8;
const DATA: u64 = 15;

const KIND_BLOCK: u64 = 0;
const KIND_AVAILABLE: u64 = 1;
const KIND_REFUSED: u64 = 2;

/// The bytes are not the expected message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed reply: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl From<io::Error> for Malformed {
    fn from(_: io::Error) -> Self {
        Self("it ends early")
    }
}

/// One message of a `Fetch` call.
#[derive(Debug)]
pub enum Reply<R> {
    /// Part of a chunk.
    Block {
        /// The chunk.
        chunk: u32,
        /// Position of the first byte in the chunk.
        offset: u32,
        /// Whether it completes the chunk.
        last: bool,
        /// The bytes.
        data: Payload<R>,
    },
    /// An availability update.
    Available {
        /// The chunks that the sender holds, a bit for each; `None` for all.
        have: Option<Vec<u8>>,
        /// The chunks that it gives to other callers, likewise; `None` where there are none.
        given: Option<Vec<u8>>,
    },
    /// A chunk will not come.
    Refused {
        /// The chunk.
        chunk: u32,
        /// The reason.
        reason: Reason,
    },
    /// A kind that this version does not know, to be ignored.
    Unknown,
}

impl<R> Reply<R> {
    /// Bytes of the file in it.
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            Self::Block { data, .. } => data.len(),
            _ => 0,
        }
    }
}

/// Payload bytes where gRPC received them. Read them with [`BufRead`]; there are exactly [`Payload::len`].
#[derive(Debug)]
pub struct Payload<R> {
    bytes: Bytes<R>,
    left: usize,
}

enum Bytes<R> {
    InPlace(R),
    Copied(Cursor<Vec<u8>>),
}

impl<R> fmt::Debug for Bytes<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InPlace(_) => "InPlace",
            Self::Copied(_) => "Copied",
        })
    }
}

impl<R> Payload<R> {
    /// Returns the number of bytes that are not read yet.
    pub fn len(&self) -> usize {
        self.left
    }

    /// Returns true if all bytes are read.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    fn copied(bytes: Vec<u8>) -> Self {
        Self { left: bytes.len(), bytes: Bytes::Copied(Cursor::new(bytes)) }
    }
}

impl<R: BufRead> Read for Payload<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Payload<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = match &mut self.bytes {
            Bytes::InPlace(reader) => reader.fill_buf()?,
            Bytes::Copied(cursor) => cursor.fill_buf()?,
        };
        Ok(&available[..available.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.left);
        self.left -= amount;
        match &mut self.bytes {
            Bytes::InPlace(reader) => reader.consume(amount),
            Bytes::Copied(cursor) => cursor.consume(amount),
        }
    }
}

/// Parses a `ChunkResponse` of `len` bytes, and returns its payload.
pub(crate) fn chunk_payload<R: BufRead>(reader: R, len: usize) -> Result<Payload<R>, Malformed> {
    let mut fields = Fields { reader, left: len };
    let mut data = Payload::copied(Vec::new());
    while let Some((field, wire)) = fields.next_tag()? {
        match (field, wire) {
            (CHUNK_DATA, Wire::Bytes) => match fields.payload()? {
                Found::AtTheEnd(count) => return Ok(fields.rest_as_payload(count)),
                Found::Copied(bytes) => data = Payload::copied(bytes),
            },
            _ => fields.skip(wire)?,
        }
    }
    Ok(data)
}

/// Parses a `FetchReply` of `len` bytes.
pub(crate) fn fetch_reply<R: BufRead>(reader: R, len: usize) -> Result<Reply<R>, Malformed> {
    let mut fields = Fields { reader, left: len };
    let mut seen = Seen::default();
    let mut data = None;
    while let Some((field, wire)) = fields.next_tag()? {
        match (field, wire) {
            (KIND | CHUNK_INDEX | OFFSET | LAST | REASON | COMPLETE, Wire::Varint) => {
                seen.set(field, fields.varint()?)?;
            }
            (BITMAP, Wire::Bytes) => seen.bitmap = fields.bytes(BITMAP_BYTES_MAX)?,
            (GIVEN, Wire::Bytes) => seen.given = fields.bytes(BITMAP_BYTES_MAX)?,
            (DATA, Wire::Bytes) => match fields.payload()? {
                Found::AtTheEnd(count) => {
                    let payload = fields.rest_as_payload(count);
                    return Ok(seen.reply(Some(payload)));
                }
                Found::Copied(bytes) => data = Some(Payload::copied(bytes)),
            },
            _ => fields.skip(wire)?,
        }
    }
    Ok(seen.reply(data))
}

/// Runs `chunk_payload` over plain bytes and reads the payload, for fuzzing and tests.
pub fn parse_chunk_response(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    chunk_payload(bytes, bytes.len())?.read_to_end(&mut out)?;
    Ok(out)
}

/// Runs `fetch_reply` over plain bytes and reads the payload, if there is one, for fuzzing and tests.
pub fn parse_fetch_reply(bytes: &[u8]) -> Result<(Reply<&[u8]>, Vec<u8>), Malformed> {
    let mut reply = fetch_reply(bytes, bytes.len())?;
    let mut out = Vec::new();
    if let Reply::Block { data, .. } = &mut reply {
        data.read_to_end(&mut out)?;
    }
    Ok((reply, out))
}

/// The small fields of a reply, with protobuf's defaults.
#[derive(Default)]
struct Seen {
    kind: u64,
    chunk: u32,
    offset: u32,
    last: bool,
    reason: u64,
    complete: bool,
    bitmap: Vec<u8>,
    given: Vec<u8>,
}

impl Seen {
    fn set(&mut self, field: u64, value: u64) -> Result<(), Malformed> {
        let small = || u32::try_from(value).map_err(|_| Malformed("a number is too large"));
        match field {
            KIND => self.kind = value,
            CHUNK_INDEX => self.chunk = small()?,
            OFFSET => self.offset = small()?,
            LAST => self.last = value != 0,
            REASON => self.reason = value,
            _ => self.complete = value != 0,
        }
        Ok(())
    }

    fn reply<R>(self, data: Option<Payload<R>>) -> Reply<R> {
        match self.kind {
            KIND_BLOCK => Reply::Block {
                chunk: self.chunk,
                offset: self.offset,
                last: self.last,
                data: data.unwrap_or_else(|| Payload::copied(Vec::new())),
            },
            KIND_AVAILABLE => Reply::Available {
                have: (!self.complete).then_some(self.bitmap),
                given: (!self.given.is_empty()).then_some(self.given),
            },
            KIND_REFUSED => Reply::Refused { chunk: self.chunk, reason: reason(self.reason) },
            _ => Reply::Unknown,
        }
    }
}

fn reason(number: u64) -> Reason {
    match number {
        1 => Reason::NOT_HELD,
        2 => Reason::READ_FAILED,
        3 => Reason::BUSY,
        _ => Reason::NONE,
    }
}

#[derive(Clone, Copy)]
enum Wire {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

enum Found {
    /// The rest of the message is payload of this length.
    AtTheEnd(usize),
    /// Other fields follow the payload, so it was copied.
    Copied(Vec<u8>),
}

struct Fields<R> {
    reader: R,
    left: usize,
}

impl<R: BufRead> Fields<R> {
    fn next_tag(&mut self) -> Result<Option<(u64, Wire)>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            5 => Wire::Fixed32,
            _ => return Err(Malformed("unknown wire type")),
        };
        if tag >> 3 == 0 { Err(Malformed("field number zero")) } else { Ok(Some((tag >> 3, wire))) }
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        if self.left == 0 {
            return Err(Malformed("it ends early"));
        }
        let byte = *self.reader.fill_buf()?.first().ok_or(Malformed("it ends early"))?;
        self.consume(1);
        Ok(byte)
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.left -= count;
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is too long"))
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed("a length is too large"))?;
        if length > self.left { Err(Malformed("it ends early")) } else { Ok(length) }
    }

    fn bytes(&mut self, max: usize) -> Result<Vec<u8>, Malformed> {
        let length = self.length()?;
        if length > max { Err(Malformed("a field is too long")) } else { self.exactly(length) }
    }

    fn payload(&mut self) -> Result<Found, Malformed> {
        let length = self.length()?;
        if length > PAYLOAD_BYTES_MAX {
            return Err(Malformed("its payload is too long"));
        }
        if length == self.left {
            return Ok(Found::AtTheEnd(length));
        }
        self.exactly(length).map(Found::Copied)
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::with_capacity(length);
        while out.len() < length {
            let available = self.reader.fill_buf()?;
            let count = available.len().min(length - out.len());
            if count == 0 {
                return Err(Malformed("it ends early"));
            }
            out.extend_from_slice(&available[..count]);
            self.consume(count);
        }
        Ok(out)
    }

    fn skip(&mut self, wire: Wire) -> Result<(), Malformed> {
        let mut count = match wire {
            Wire::Varint => return self.varint().map(drop),
            Wire::Fixed64 => 8,
            Wire::Fixed32 => 4,
            Wire::Bytes => self.length()?,
        };
        if count > self.left {
            return Err(Malformed("it ends early"));
        }
        while count > 0 {
            let step = self.reader.fill_buf()?.len().min(count);
            if step == 0 {
                return Err(Malformed("it ends early"));
            }
            self.consume(step);
            count -= step;
        }
        Ok(())
    }

    fn rest_as_payload(self, left: usize) -> Payload<R> {
        Payload { bytes: Bytes::InPlace(self.reader), left }
    }
}

#[cfg(test)]
mod tests {
    use peernet_protos::grpc::{ChunkResponse, FetchReply, fetch_reply};
    use proptest::prelude::*;
    use protobuf::{EnumOrUnknown, Message};

    use super::*;

    fn message(kind: i32, bitmap: Vec<u8>, data: Vec<u8>) -> FetchReply {
        FetchReply {
            kind: EnumOrUnknown::from_i32(kind),
            reason: EnumOrUnknown::new(fetch_reply::Reason::BUSY),
            given: bitmap.iter().rev().copied().collect(),
            bitmap,
            data,
            ..FetchReply::default()
        }
    }

    prop_compose! {
        fn any_message()(
            kind in 0..4i32,
            bitmap in prop::collection::vec(any::<u8>(), 0..40),
            data in prop::collection::vec(any::<u8>(), 0..300),
            numbers: [u32; 2],
            flags: [bool; 2],
        ) -> FetchReply {
            let message = message(kind, bitmap, data);
            let [chunk_index, offset] = numbers;
            let [last, complete] = flags;
            FetchReply { chunk_index, offset, last, complete, ..message }
        }
    }

    fn agrees(ours: &Reply<&[u8]>, payload: &[u8], theirs: &FetchReply) -> bool {
        match ours {
            Reply::Block { chunk, offset, last, .. } => {
                theirs.kind.value() == 0
                    && (*chunk, *offset, *last) == (theirs.chunk_index, theirs.offset, theirs.last)
                    && payload == theirs.data
            }
            Reply::Available { have, given } => {
                theirs.kind.value() == 1
                    && *have == (!theirs.complete).then(|| theirs.bitmap.clone())
                    && given.clone().unwrap_or_default() == theirs.given
            }
            Reply::Refused { chunk, reason } => {
                theirs.kind.value() == 2
                    && *chunk == theirs.chunk_index
                    && *reason == theirs.reason.enum_value_or(fetch_reply::Reason::NONE)
            }
            Reply::Unknown => !(0..=2).contains(&theirs.kind.value()),
        }
    }

    proptest! {
        #[test]
        fn a_reply_means_what_protobuf_says(
            theirs in any_message(), tail in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let bytes = theirs.write_to_bytes().unwrap();
            let (ours, payload) = parse_fetch_reply(&bytes).unwrap();
            prop_assert!(agrees(&ours, &payload, &theirs), "{ours:?} {theirs:?}");
            // An unknown field behind the payload is skipped, and then the payload is copied.
            let mut longer = bytes.clone();
            longer.extend([0xa2, 0x06, tail.len() as u8]);
            longer.extend(&tail);
            let (ours, payload) = parse_fetch_reply(&longer).unwrap();
            prop_assert!(agrees(&ours, &payload, &theirs));
        }

        #[test]
        fn any_bytes_are_parsed_like_protobuf_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((ours, payload)) = parse_fetch_reply(&bytes)
                && let Ok(theirs) = FetchReply::parse_from_bytes(&bytes)
            {
                prop_assert!(agrees(&ours, &payload, &theirs), "{ours:?} {theirs:?}");
            }
            if let (Ok(ours), Ok(theirs)) = (parse_chunk_response(&bytes), ChunkResponse::parse_from_bytes(&bytes)) {
                prop_assert_eq!(ours, theirs.chunk_data);
            }
        }
    }

    #[test]
    fn truncated_and_oversized_messages_are_refused() {
        let block = FetchReply { chunk_index: 3, offset: 5, last: true, ..message(0, vec![], vec![7; 40]) };
        let whole = block.write_to_bytes().unwrap();
        for len in 1..whole.len() {
            let cut = parse_fetch_reply(&whole[..len]);
            assert!(cut.is_err() || matches!(cut, Ok((Reply::Block { .. }, payload)) if payload.is_empty()), "{len}");
        }
        let huge = ChunkResponse { chunk_data: vec![0; PAYLOAD_BYTES_MAX + 1], ..Default::default() };
        assert!(parse_chunk_response(&huge.write_to_bytes().unwrap()).is_err());
        assert!(parse_chunk_response(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }

    /// Parses a reply in one buffer, and through a reader that gives so many bytes at once.
    fn in_pieces(bytes: &[u8], piece: usize) -> Result<(String, Vec<u8>), Malformed> {
        let mut reply = fetch_reply(io::BufReader::with_capacity(piece, bytes), bytes.len())?;
        let mut out = Vec::new();
        if let Reply::Block { data, .. } = &mut reply {
            data.read_to_end(&mut out)?;
            assert!(data.is_empty(), "every byte of the payload is read");
        }
        Ok((format!("{reply:?}"), out))
    }

    #[test]
    fn a_reply_means_the_same_in_pieces_of_any_length() {
        let block = FetchReply { chunk_index: 3, offset: 5, last: true, ..message(0, vec![], vec![7; 300]) };
        let block = block.write_to_bytes().unwrap();
        let update = message(1, vec![1, 2, 3], vec![]).write_to_bytes().unwrap();
        let refusal = FetchReply { chunk_index: u32::MAX, complete: true, ..message(2, vec![], vec![]) };
        let refusal = refusal.write_to_bytes().unwrap();
        for bytes in [&block, &update, &refusal] {
            let whole = in_pieces(bytes, bytes.len()).unwrap();
            for piece in [1, 2, 3, 7, 64] {
                assert_eq!(in_pieces(bytes, piece).unwrap(), whole, "{piece}");
            }
            for place in 0..bytes.len().min(40) {
                let mut bent = bytes.clone();
                bent[place] ^= 0x41;
                assert_eq!(in_pieces(&bent, 1), in_pieces(&bent, bent.len()), "{place}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_reply_is_said() {
        let tagged = |field: u8, wire: u8, rest: &[u8]| [&[field << 3 | wire], rest].concat();
        let huge = [&[0x3a][..], &[0x80, 0x80, 0x80, 0x01], &[0; 1 << 21]].concat();
        for (bytes, expected) in [
            (vec![0x80], "malformed reply: it ends early"),
            (tagged(1, 3, &[]), "malformed reply: unknown wire type"),
            (tagged(1, 7, &[]), "malformed reply: unknown wire type"),
            (tagged(0, 0, &[1]), "malformed reply: field number zero"),
            (tagged(1, 0, &[0xff; 10]), "malformed reply: a number is too long"),
            (tagged(2, 0, &[0xff, 0xff, 0xff, 0xff, 0x1f]), "malformed reply: a number is too large"),
            (tagged(9, 1, &[0; 7]), "malformed reply: it ends early"),
            (tagged(9, 5, &[0; 3]), "malformed reply: it ends early"),
            (tagged(9, 2, &[4, 0, 0, 0]), "malformed reply: it ends early"),
            (tagged(15, 2, &[1]), "malformed reply: it ends early"),
            (huge, "malformed reply: a field is too long"),
        ] {
            let error = parse_fetch_reply(&bytes).map(|_| ()).unwrap_err();
            assert_eq!(error.to_string(), expected, "{:?}", &bytes[..bytes.len().min(12)]);
        }
    }

    #[test]
    fn fields_of_later_versions_are_skipped_wherever_they_are() {
        let block = FetchReply { chunk_index: 3, offset: 5, last: true, ..message(0, vec![], vec![7; 3]) };
        let block = block.write_to_bytes().unwrap();
        let foreign: [&[u8]; 4] = [
            &[20 << 3 & 0x7f | 0x80, 1, 9],
            &[9 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[9 << 3 | 2, 2, 1, 1],
            &[9 << 3 | 5, 0, 0, 0, 0],
        ];
        let expected = parse_fetch_reply(&block).unwrap();
        for field in foreign {
            for bytes in [[field, &block].concat(), [&block, field].concat()] {
                let found = parse_fetch_reply(&bytes).unwrap_or_else(|error| panic!("{field:?}: {error}"));
                assert_eq!(found.1, expected.1, "{field:?}");
                assert!(matches!(found.0, Reply::Block { chunk: 3, offset: 5, last: true, .. }), "{field:?}");
            }
        }
        // Of a field that comes twice, the last one counts.
        let twice = [message(0, vec![], vec![1; 9]).write_to_bytes().unwrap(), block].concat();
        let (reply, payload) = parse_fetch_reply(&twice).unwrap();
        assert!(matches!(reply, Reply::Block { chunk: 3, offset: 5, last: true, .. }) && payload == [7; 3]);
    }

    #[test]
    fn bitmaps_and_payloads_are_taken_up_to_their_bounds() {
        let of = |bitmap: usize, data: usize| message(1, vec![1; bitmap], vec![0; data]);
        let parsed = |reply: FetchReply| parse_fetch_reply(&reply.write_to_bytes().unwrap()).is_ok();
        assert!(parsed(of(BITMAP_BYTES_MAX, 0)) && !parsed(of(BITMAP_BYTES_MAX + 1, 0)));
        assert!(parsed(of(0, PAYLOAD_BYTES_MAX)) && !parsed(of(0, PAYLOAD_BYTES_MAX + 1)));
    }
}
