//! Refusals as statuses of gRPC.

use grpcio::{RpcStatus, RpcStatusCode};

use crate::serve::{Refusal, RefusalCode};

/// Returns the status that tells a caller of a refusal.
pub(super) fn status(refusal: &Refusal) -> RpcStatus {
    let code = match refusal.code {
        RefusalCode::InvalidArgument => RpcStatusCode::INVALID_ARGUMENT,
        RefusalCode::OutOfRange => RpcStatusCode::OUT_OF_RANGE,
        RefusalCode::NotFound => RpcStatusCode::NOT_FOUND,
        RefusalCode::FailedPrecondition => RpcStatusCode::FAILED_PRECONDITION,
        RefusalCode::PermissionDenied => RpcStatusCode::PERMISSION_DENIED,
        RefusalCode::Unauthenticated => RpcStatusCode::UNAUTHENTICATED,
        RefusalCode::ResourceExhausted => RpcStatusCode::RESOURCE_EXHAUSTED,
        RefusalCode::DeadlineExceeded => RpcStatusCode::DEADLINE_EXCEEDED,
        RefusalCode::Unavailable => RpcStatusCode::UNAVAILABLE,
    };
    RpcStatus::with_message(code, refusal.text.clone().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_and_text() {
        for (refusal, code) in [
            (Refusal::busy(), RpcStatusCode::RESOURCE_EXHAUSTED),
            (Refusal::too_late(), RpcStatusCode::RESOURCE_EXHAUSTED),
            (Refusal::stopping(), RpcStatusCode::UNAVAILABLE),
            (Refusal::not_shared(), RpcStatusCode::NOT_FOUND),
            (Refusal::invalid("bad"), RpcStatusCode::INVALID_ARGUMENT),
        ] {
            let status = status(&refusal);
            assert_eq!((status.code(), status.message()), (code, &*refusal.text));
        }
    }
}
