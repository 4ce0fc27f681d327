//! Access control: the decision which accounts may fetch a file.
//!
//! Two programs take part. The tracker holds each file's [`Policy`] and asks a [`PolicySet`] whether an account may
//! know of a file; it signs a grant only if so. A serving peer knows no policy. It knows a file's [`KnownVisibility`]
//! and checks the grant that a caller presents, also while the tracker is down: see [`authorize`].
//!
//! Both rules fail closed. A file whose visibility a peer does not know is served like a restricted file.

mod authorize;
mod grant;
mod policy;
mod visibility;

pub use authorize::{Authorization, Credentials, Refusal, RequestedFile, authorize};
pub use grant::{Grant, GrantError, Permission};
pub use policy::{GroupId, Policy, PolicySet};
pub use visibility::{KnownVisibility, UnknownVisibility, Visibility};
