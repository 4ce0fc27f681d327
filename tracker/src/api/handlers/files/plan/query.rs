//! The query of a plan: the caller's site, the chunks that it lacks, and the plan that it has already.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::ChunkCount;

use crate::api::handlers::FileCalls;
use crate::api::wire;
use crate::api::{ApiError, Caller, query_args};
use crate::domain::swarm::ManifestMeta;
use peernet_door::Request;
use peernet_engine::plan::Held;

/// The longest `lacks` in characters: one bit per chunk of the largest file.
const LACKS_MAX: usize = 2_731;

/// The query of a plan, checked.
pub(super) struct PlanQuery {
    pub(super) site: Option<Arc<str>>,
    /// `If-None-Match`, where it names a plan of this process.
    pub(super) etag: Option<String>,
    version: Option<u64>,
    /// The version of the plan of which only changes are requested.
    pub(super) since: Option<u64>,
    /// One bit per chunk that the caller lacks.
    lacks: Option<Vec<u8>>,
}

impl PlanQuery {
    /// Reads a query. 400 `invalid_site`, `invalid_lacks` or `invalid_delta`. An `ETag` of another process, or a broken
    /// one, counts as none.
    pub(super) fn read(calls: &FileCalls, caller: &Caller, request: &Request) -> Result<Self, ApiError> {
        let query = query_args(request)?;
        let given = |name: &str| query.get(name).map(String::as_str);
        let site = wire::site(given("site"))?.map(Arc::from).or_else(|| calls.swarm.site_of(caller.peer));
        let wants_delta = match given("delta") {
            Some("1") => true,
            None | Some("0") => false,
            Some(_) => return Err(ApiError::bad_request("invalid_delta", "delta must be 0 or 1")),
        };
        let etag = request.head.header("if-none-match");
        let version = etag.and_then(|etag| calls.swarm.version_in(etag));
        let since = version.filter(|_| wants_delta);
        let etag = etag.filter(|_| version.is_some()).map(str::to_owned);
        Ok(Self { site, etag, version, since, lacks: given("lacks").map(read_lacks).transpose()? })
    }

    /// Returns whether the caller has the plan of this version.
    pub(super) fn has(&self, version: u64) -> bool {
        self.version == Some(version)
    }

    /// The chunks that the caller holds of a file, derived from those that it lacks; `None` where it states none. 400
    /// `invalid_lacks` where the length does not fit the file.
    pub(super) fn own_of(&self, meta: &ManifestMeta) -> Result<Option<Held>, ApiError> {
        let Some(lacks) = &self.lacks else { return Ok(None) };
        let lacked = Bitmap::from_bytes(lacks, ChunkCount(meta.chunks)).ok_or_else(invalid)?;
        Ok(Some(Held::of(lacked.complement())))
    }
}

fn read_lacks(text: &str) -> Result<Vec<u8>, ApiError> {
    if text.len() > LACKS_MAX {
        return Err(invalid());
    }
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| invalid())
}

fn invalid() -> ApiError {
    ApiError::bad_request("invalid_lacks", "lacks must be unpadded base64url of one bit a chunk, spare bits zero")
}
