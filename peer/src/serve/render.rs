//! Serializes replies, header and payload in one buffer, so that a payload is read from the disk to where gRPC sends
//! it.

use peernet_protos::grpc::FetchReply;
use protobuf::Message;

/// Longest header of a block: four varint fields and the tag and length of `data`.
const HEADER_BYTES_MAX: usize = 32;

const WIRE_VARINT: u8 = 0;
const WIRE_BYTES: u8 = 2;

/// A serialized reply.
#[derive(Debug)]
pub(crate) struct Rendered(Vec<u8>);

impl Rendered {
    /// The bytes, in a vector without spare capacity, which gRPC takes as it is.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Makes a `ChunkResponse`. `fill` writes every one of its `len` bytes of payload.
    pub(crate) fn chunk<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut header = Header::default();
        header.bytes_field(1, len);
        header.with_payload(len, fill)
    }

    /// Makes a `FetchReply` of kind BLOCK. `fill` writes every one of its `len` bytes of payload.
    pub(crate) fn block<E>(
        place: BlockPlace,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut header = Header::default();
        header.varint_field(2, place.chunk.into());
        header.varint_field(3, place.offset.into());
        header.varint_field(4, place.last.into());
        header.bytes_field(15, len);
        header.with_payload(len, fill)
    }

    /// Serializes a `FetchReply` without payload.
    pub(crate) fn plain(reply: &FetchReply) -> Self {
        let bytes = reply.write_to_bytes().expect("a reply has no field that cannot be written");
        Self(bytes.into_boxed_slice().into_vec())
    }
}

/// The place of a block in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockPlace {
    /// The chunk.
    pub(crate) chunk: u32,
    /// Offset in the chunk.
    pub(crate) offset: u32,
    /// Whether the block ends the chunk.
    pub(crate) last: bool,
}

#[derive(Default)]
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl Header {
    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Zero is the default and is left out.
    fn varint_field(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.push(field << 3 | WIRE_VARINT);
            self.push_varint(value);
        }
    }

    fn bytes_field(&mut self, field: u8, len: usize) {
        self.push(field << 3 | WIRE_BYTES);
        self.push_varint(len as u64);
    }

    fn with_payload<E>(self, len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Rendered, E> {
        // Clearing the vector costs a thirtieth of a second a GiB, and saves this file from `unsafe`.
        let mut buffer = vec![0; self.len + len];
        buffer[..self.len].copy_from_slice(&self.bytes[..self.len]);
        fill(&mut buffer[self.len..])?;
        Ok(Rendered(buffer))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use peernet_protos::grpc::ChunkResponse;

    use super::*;

    fn fill(bytes: &[u8]) -> impl FnOnce(&mut [u8]) -> Result<(), Infallible> + '_ {
        |buffer| {
            buffer.copy_from_slice(bytes);
            Ok(())
        }
    }

    #[test]
    fn protobuf_parses_rendered_replies() {
        for len in [0, 1, 127, 128, 300, 1 << 20] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let chunk = Rendered::chunk(len, fill(&payload)).unwrap();
            assert_eq!(ChunkResponse::parse_from_bytes(&chunk.into_bytes()).unwrap().chunk_data, payload);
            for (index, offset, last) in [(0, 0, false), (1, 1 << 20, true), (u32::MAX, u32::MAX, true)] {
                let place = BlockPlace { chunk: index, offset, last };
                let block = Rendered::block(place, len, fill(&payload)).unwrap();
                let parsed = FetchReply::parse_from_bytes(&block.into_bytes()).unwrap();
                assert_eq!((parsed.chunk_index, parsed.offset, parsed.last), (index, offset, last));
                assert_eq!(parsed.data, payload);
            }
        }
    }

    #[test]
    fn the_bytes_of_a_block_are_these() {
        let place = BlockPlace { chunk: 300, offset: 0, last: true };
        let block = Rendered::block(place, 2, fill(b"ab")).unwrap().into_bytes();
        // Zero fields are left out, as protobuf's own serializer does.
        assert_eq!(block, [2 << 3, 0xac, 2, 4 << 3, 1, 15 << 3 | 2, 2, b'a', b'b']);
        let chunk = Rendered::chunk(0, fill(b"")).unwrap().into_bytes();
        assert_eq!((chunk.as_slice(), chunk.capacity()), (&[0x0a, 0][..], 2));
        let parsed = FetchReply::parse_from_bytes(&block).unwrap();
        assert_eq!(Rendered::plain(&parsed).into_bytes(), block);
    }

    #[test]
    fn the_longest_header_fits_its_place() {
        let mut header = Header::default();
        for field in [2, 3, 4] {
            header.varint_field(field, u64::from(u32::MAX));
        }
        header.bytes_field(15, usize::MAX);
        assert!(header.len <= HEADER_BYTES_MAX, "{}", header.len);
    }

    #[test]
    fn a_payload_that_cannot_be_read_makes_no_reply() {
        let failed = Rendered::chunk(4, |_| Err("the disk")).map(Rendered::into_bytes);
        assert_eq!(failed, Err("the disk"));
        let place = BlockPlace { chunk: 0, offset: 0, last: false };
        assert_eq!(Rendered::block(place, 4, |_| Err("the disk")).map(Rendered::into_bytes), Err("the disk"));
    }
}
