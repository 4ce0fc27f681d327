//! The reasons for which a call is refused or ended, as the caller is told. `crate::grpc` turns them into a status of
//! gRPC.

use std::borrow::Cow;

/// The kind of a refusal. Each has one status code of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalCode {
    /// A request makes no sense.
    InvalidArgument,
    /// A request names chunks that the file does not have.
    OutOfRange,
    /// The file or the chunk is not here, or must not be known to be.
    NotFound,
    /// The request does not fit the file.
    FailedPrecondition,
    /// The caller may not have the file.
    PermissionDenied,
    /// The caller is not a member any more.
    Unauthenticated,
    /// A bound is reached. The caller may try again later.
    ResourceExhausted,
    /// The caller took too long.
    DeadlineExceeded,
    /// Temporarily unable to serve.
    Unavailable,
}

/// A refusal with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RefusalCode::InvalidArgument, text)
    }

    pub(crate) fn not_shared() -> Self {
        Self::new(RefusalCode::NotFound, "this peer does not share that file")
    }

    pub(crate) fn busy() -> Self {
        Self::new(RefusalCode::ResourceExhausted, "this peer serves as many calls as it can; try again later")
    }

    pub(crate) fn too_late() -> Self {
        let text = "this peer could not serve the call in time; try again later";
        Self::new(RefusalCode::ResourceExhausted, text)
    }

    pub(crate) fn stopping() -> Self {
        Self::new(RefusalCode::Unavailable, "this peer is stopping")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_refusals_have_a_fixed_code_and_text() {
        use RefusalCode::{InvalidArgument, NotFound, ResourceExhausted, Unavailable};
        for (refusal, code, text) in [
            (Refusal::not_shared(), NotFound, "this peer does not share that file"),
            (Refusal::busy(), ResourceExhausted, "this peer serves as many calls as it can; try again later"),
            (Refusal::too_late(), ResourceExhausted, "this peer could not serve the call in time; try again later"),
            (Refusal::stopping(), Unavailable, "this peer is stopping"),
            (Refusal::invalid("file_hash: expected 32 bytes"), InvalidArgument, "file_hash: expected 32 bytes"),
        ] {
            assert_eq!(refusal, Refusal { code, text: Cow::Borrowed(text) });
        }
    }
}
