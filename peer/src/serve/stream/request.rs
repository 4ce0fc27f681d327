//! Messages of a `Fetch` call, from the wire into the engine's terms.

use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::serving::wanted::{ChunkRange, Wanted, covers};
use peernet_engine::serving::{FileKey, Request, RequestError};
use peernet_protos::grpc::{ChunkRange as WireRange, FetchRequest};
use peernet_protos::limits::RANGES_PER_REQUEST_MAX;

/// Converts a message. Bounds are checked by the serving machine.
pub(super) fn of_wire(request: FetchRequest) -> Request {
    Request {
        file: file_key(&request),
        wanted: ranges(&request.wanted),
        again: ranges(&request.again),
        dropped: ranges(&request.dropped),
        complaints: request.complaints,
        grant: (!request.grant.is_empty()).then_some(request.grant),
    }
}

fn file_key(request: &FetchRequest) -> Result<FileKey, RequestError> {
    let file_hash = FileHash::from_slice(&request.file_hash).map_err(|_| RequestError::FileHash)?;
    let manifest_id = match request.manifest_id.as_slice() {
        [] => None,
        bytes => Some(ManifestId::from_slice(bytes).map_err(|_| RequestError::ManifestId)?),
    };
    Ok(FileKey { file_hash, manifest_id })
}

fn ranges(ranges: &[WireRange]) -> Vec<ChunkRange> {
    ranges.iter().map(|range| ChunkRange { first: range.first, count: range.count }).collect()
}

/// For fuzzing: asserts that the messages of one call keep the wanted ranges within their bounds.
pub(crate) fn assert_bounded(requests: &[FetchRequest]) {
    let mut wanted = Wanted::new(RANGES_PER_REQUEST_MAX);
    for request in requests {
        let request = of_wire(request.clone());
        let result = wanted
            .drop_ranges(&request.dropped)
            .and_then(|()| wanted.append(&request.wanted))
            .and_then(|()| wanted.append(&request.again));
        if result.is_err() {
            return;
        }
        wanted.assert_consistent();
        let first = wanted.iter().next();
        if let Some(chunk) = first {
            let before = wanted.iter().count();
            wanted.remove(chunk);
            assert_eq!(wanted.iter().count(), before - 1);
        }
        let asks_for_nothing = request.wanted.is_empty() && request.again.is_empty();
        assert!(!asks_for_nothing || !wanted.iter().any(|chunk| covers(&request.dropped, chunk)));
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::ChunkIndex;
    use peernet_engine::serving::wanted::RANGES_PER_LIST_MAX;
    use peernet_engine::serving::{BLOCK_BYTES_MAX, COMPLAINTS_PER_REQUEST_MAX};
    use peernet_protos::limits;

    use super::*;

    #[test]
    fn engine_and_protocol_agree_on_the_bounds() {
        assert_eq!(RANGES_PER_LIST_MAX, limits::RANGES_PER_REQUEST_MAX);
        assert_eq!(COMPLAINTS_PER_REQUEST_MAX, limits::COMPLAINTS_PER_REQUEST_MAX);
        assert_eq!(BLOCK_BYTES_MAX, limits::BLOCK_BYTES_MAX);
    }

    #[test]
    fn a_message_is_converted_field_by_field() {
        let range = |first, count| WireRange { first, count, ..WireRange::default() };
        let wire = FetchRequest {
            file_hash: vec![1; 32],
            manifest_id: vec![2; 32],
            wanted: vec![range(1, 2)],
            again: vec![range(3, 4)],
            dropped: vec![range(5, 6)],
            complaints: vec![7],
            grant: "grant".to_owned(),
            ..FetchRequest::default()
        };
        let one = |first, count| vec![ChunkRange { first, count }];
        let file = FileKey { file_hash: FileHash([1; 32]), manifest_id: Some(ManifestId([2; 32])) };
        let expected = Request {
            file: Ok(file),
            wanted: one(1, 2),
            again: one(3, 4),
            dropped: one(5, 6),
            complaints: vec![7],
            grant: Some("grant".to_owned()),
        };
        assert_eq!(of_wire(wire), expected);
    }

    #[test]
    fn a_message_without_ids_says_which_is_wrong() {
        for (file_hash, manifest_id, expected) in [
            (vec![], vec![], Err(RequestError::FileHash)),
            (vec![1; 31], vec![2; 32], Err(RequestError::FileHash)),
            (vec![1; 32], vec![2; 33], Err(RequestError::ManifestId)),
            (vec![1; 32], vec![], Ok(FileKey { file_hash: FileHash([1; 32]), manifest_id: None })),
        ] {
            let wire = FetchRequest { file_hash, manifest_id, ..FetchRequest::default() };
            let request = of_wire(wire);
            assert_eq!((request.file, request.grant), (expected, None));
        }
        // The machine refuses lists past its bounds.
        let wanted = vec![WireRange { first: u32::MAX, count: 9, ..WireRange::default() }];
        assert!(!of_wire(FetchRequest { wanted, ..FetchRequest::default() }).wanted[0].contains(ChunkIndex(0)));
    }
}
