//! Channel and server credentials for gRPC, made of an identity.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use grpcio::{
    CertificateRequestType, ChannelBuilder, ChannelCredentials, ChannelCredentialsBuilder, ServerCredentials,
    ServerCredentialsBuilder, ServerCredentialsFetcher,
};
use peernet_protos::identity::peer_name;

use crate::access::Membership;
use crate::connect::ChannelSecurity;
use crate::identity::Identity;

/// Callers must have a certificate of the same authorities. The handshake checks it.
const OF_CALLERS: CertificateRequestType = CertificateRequestType::RequestAndRequireClientCertificateAndVerify;

/// Applies the credentials for one source to a channel.
pub(super) fn secure(channel: ChannelBuilder, security: &ChannelSecurity) -> ChannelBuilder {
    match security {
        ChannelSecurity::Plaintext => channel,
        // The certificate has to name the peer, independent of its address.
        ChannelSecurity::Tls(identity, peer) => {
            channel.set_credentials(of_caller(identity)).override_ssl_target(peer_name(&peer.to_string()))
        }
    }
}

fn of_caller(identity: &Identity) -> ChannelCredentials {
    let certificate = identity.certificate().as_bytes().to_vec();
    let key = identity.key().as_bytes().to_vec();
    ChannelCredentialsBuilder::new().root_cert(identity.authorities().pem().into_bytes()).cert(certificate, key).build()
}

/// The server's credentials, which gRPC asks for with each new connection.
pub(super) fn of_server(membership: Arc<Membership>) -> ServerCredentials {
    ServerCredentials::with_fetcher(Box::new(Fetcher { membership, given: Mutex::new(None) }), OF_CALLERS)
}

struct Fetcher {
    membership: Arc<Membership>,
    /// The credentials that gRPC has now.
    given: Mutex<Option<Arc<Identity>>>,
}

impl ServerCredentialsFetcher for Fetcher {
    fn fetch(&self) -> Result<Option<ServerCredentialsBuilder>, Box<dyn Error>> {
        let identity = self.membership.identity();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.as_ref().is_some_and(|given| Arc::ptr_eq(given, &identity)) {
            return Ok(None);
        }
        let certificate = identity.certificate().as_bytes().to_vec();
        let key = identity.key().as_bytes().to_vec();
        let roots = identity.authorities().pem().into_bytes();
        let builder = ServerCredentialsBuilder::new().root_cert(roots, OF_CALLERS).add_cert(certificate, key);
        *given = Some(identity);
        Ok(Some(builder))
    }
}
