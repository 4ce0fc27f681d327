//! Certificates for accounts' devices: who has a token is given one for a key that he shows to have.

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_protos::rest::CertificateBody;

use super::Session;
use crate::api::ApiError;
use crate::app::App;
use crate::authority::{CsrError, check_csr};

/// 422 `invalid_csr`, before anything is done.
pub(super) fn check(csr: Option<&str>) -> Result<(), ApiError> {
    csr.map_or(Ok(()), |csr| check_csr(csr).map_err(refused))
}

/// The session, with a certificate where its client sent a request for one.
pub(super) fn added(app: &App, session: Session, csr: Option<&str>) -> Result<Session, ApiError> {
    let device = session.device.as_ref().map(|device| device.id);
    let certificate = csr.map(|csr| issue(app, session.peer, device, csr)).transpose()?;
    Ok(Session { certificate, ..session })
}

/// A certificate of an account, and of a device of it where one asks. 422 `invalid_csr`.
pub fn issue(app: &App, peer: PeerId, device: Option<DeviceId>, csr: &str) -> Result<CertificateBody, ApiError> {
    let issued = app.authority.issue((app.clock)(), peer, device, csr).map_err(refused)?;
    let authorities = issued.authorities;
    Ok(CertificateBody { certificate: issued.certificate, authorities, expires_at: issued.expires_at })
}

fn refused(error: CsrError) -> ApiError {
    ApiError::unprocessable("invalid_csr", error.to_string())
}
