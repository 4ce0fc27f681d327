//! Certificates for the keys of accounts and their devices.

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_protos::rest::CertificateBody;

use super::{Accounts, Result, Session};
use crate::domain::authority::check_csr;

/// Checks a certificate signing request before anything is done for its sender.
pub(super) fn check(csr: Option<&str>) -> Result<()> {
    csr.map_or(Ok(()), |csr| Ok(check_csr(csr)?))
}

impl Accounts {
    /// Adds a certificate to a session whose client sent a signing request.
    pub(super) fn with_certificate(&self, session: Session, csr: Option<&str>) -> Result<Session> {
        let device = session.device.as_ref().map(|device| device.id);
        let certificate = csr.map(|csr| self.issue_certificate(session.peer, device, csr)).transpose()?;
        Ok(Session { certificate, ..session })
    }

    /// Issues a certificate for the key of a signing request, in the name of the account and its device.
    pub fn issue_certificate(&self, peer: PeerId, device: Option<DeviceId>, csr: &str) -> Result<CertificateBody> {
        let issued = self.services.authority.issue(self.now(), peer, device, csr)?;
        let authorities = issued.authorities;
        Ok(CertificateBody { certificate: issued.certificate, authorities, expires_at: issued.expires_at })
    }
}
