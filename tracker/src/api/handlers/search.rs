//! `GET /api/v1/files?name=…&limit=…&after=…`: files by name, newest first.

use data_encoding::HEXLOWER;
use peernet_engine::ids::FileHash;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::SEARCH_PAGE_MAX;
use peernet_protos::rest::{SearchFile, SearchReply};
use peernet_threads::Blocking;

use crate::api::handlers::FileCalls;
use crate::api::{ApiError, Caller, PathArgs, query_args};
use crate::store::{FileMeta, SearchQuery};
use peernet_door::{Reply, Request};

/// The page size where `limit` is not given.
const PAGE_DEFAULT: usize = 20;
/// The most words of a search.
const WORDS_MAX: usize = 8;

/// Lists one page of the files that the caller may see. Every word must be in the name; without `name`, every file
/// matches.
pub fn search(calls: &FileCalls, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let args = query_args(request)?;
    let words: Vec<String> =
        args.get("name").map_or("", String::as_str).split_whitespace().map(str::to_owned).collect();
    if words.len() > WORDS_MAX {
        return Err(ApiError::bad_request("too_many_words", format!("name may have at most {WORDS_MAX} words")));
    }
    let query = SearchQuery {
        words,
        caller: caller.peer,
        limit: args.get("limit").map_or(Ok(PAGE_DEFAULT), |text| limit(text))?,
        after: args.get("after").map(|text| read_cursor(text)).transpose()?,
    };
    let found = calls.database.read(&Blocking::declare(), |store| store.search(&query))?;
    let next = found.last().filter(|_| found.len() >= query.limit).map(cursor);
    let files = found.into_iter().map(|meta| hit(calls, meta)).collect();
    Ok(Reply::json(200, &SearchReply { files, next }))
}

fn hit(calls: &FileCalls, meta: FileMeta) -> SearchFile {
    SearchFile {
        file_hash: meta.file_hash.to_string(),
        file_name: meta.file_name,
        size: meta.manifest.map(|(_, size, _)| size),
        manifest_id: meta.manifest.map(|(id, _, _)| id.to_string()),
        sources: calls.swarm.sources_of(meta.file_hash),
        created_at: meta.created_at.as_secs(),
    }
}

fn limit(text: &str) -> Result<usize, ApiError> {
    let limit = text.parse().ok().filter(|limit| (1..=SEARCH_PAGE_MAX).contains(limit));
    limit.ok_or_else(|| ApiError::bad_request("invalid_limit", format!("limit must be from 1 to {SEARCH_PAGE_MAX}")))
}

/// The start of the next page; opaque to clients.
fn cursor(last: &FileMeta) -> String {
    HEXLOWER.encode(&[&last.created_at.0.to_be_bytes()[..], &last.file_hash.0].concat())
}

fn read_cursor(text: &str) -> Result<(UnixMillis, FileHash), ApiError> {
    let read = || {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        let (at, hash) = bytes.split_first_chunk::<8>()?;
        Some((UnixMillis(i64::from_be_bytes(*at)), FileHash::from_slice(hash).ok()?))
    };
    read().ok_or_else(|| ApiError::bad_request("invalid_cursor", "after must be what an earlier page gave as next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cursor_of_the_tracker_is_read() {
        let meta = FileMeta {
            file_hash: FileHash([7; 32]),
            file_name: String::new(),
            manifest: None,
            created_at: UnixMillis(-5),
        };
        let text = cursor(&meta);
        assert_eq!(read_cursor(&text), Ok((UnixMillis(-5), FileHash([7; 32]))));
        for bad in ["", "00", &text[2..], &format!("{text}00"), &text.to_uppercase(), "é"] {
            assert_eq!(read_cursor(bad).expect_err(bad).code, "invalid_cursor");
        }
    }
}
