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

    #[test]
    fn every_code_of_a_refusal_has_its_own_code_of_grpc() {
        use RefusalCode::{
            DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PermissionDenied,
            ResourceExhausted, Unauthenticated, Unavailable,
        };
        let codes = [
            (InvalidArgument, RpcStatusCode::INVALID_ARGUMENT),
            (OutOfRange, RpcStatusCode::OUT_OF_RANGE),
            (NotFound, RpcStatusCode::NOT_FOUND),
            (FailedPrecondition, RpcStatusCode::FAILED_PRECONDITION),
            (PermissionDenied, RpcStatusCode::PERMISSION_DENIED),
            (Unauthenticated, RpcStatusCode::UNAUTHENTICATED),
            (ResourceExhausted, RpcStatusCode::RESOURCE_EXHAUSTED),
            (DeadlineExceeded, RpcStatusCode::DEADLINE_EXCEEDED),
            (Unavailable, RpcStatusCode::UNAVAILABLE),
        ];
        for (code, expected) in codes {
            let status = status(&Refusal::new(code, format!("text of {code:?}")));
            assert_eq!((status.code(), status.message()), (expected, format!("text of {code:?}").as_str()));
        }
    }
}
