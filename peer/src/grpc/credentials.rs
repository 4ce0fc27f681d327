//! An identity in the form that gRPC takes, for both sides of a connection.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use grpcio::{
    CertificateRequestType, ChannelBuilder, ChannelCredentials, ChannelCredentialsBuilder, ServerCredentials,
    ServerCredentialsBuilder, ServerCredentialsFetcher,
};
use peernet_engine::ids::PeerId;
use peernet_protos::identity::peer_name;

use crate::identity::{Identity, Membership};

/// Callers have to have a certificate of the same authorities, and that is checked in the handshake.
const OF_CALLERS: CertificateRequestType = CertificateRequestType::RequestAndRequireClientCertificateAndVerify;

/// How one source is spoken to.
#[derive(Debug, Clone)]
pub(crate) enum Speech {
    /// In the clear, to whoever answers.
    Plaintext,
    /// To exactly this peer, as this one.
    Tls(Arc<Identity>, PeerId),
}

impl Speech {
    /// A channel that is spoken so.
    pub(super) fn of(&self, channel: ChannelBuilder) -> ChannelBuilder {
        match self {
            Self::Plaintext => channel,
            // Whatever its address, its certificate has to name it.
            Self::Tls(identity, peer) => {
                channel.set_credentials(of_caller(identity)).override_ssl_target(peer_name(&peer.to_string()))
            }
        }
    }
}

fn of_caller(identity: &Identity) -> ChannelCredentials {
    let (certificate, key) = (identity.certificate().as_bytes().to_vec(), identity.key().as_bytes().to_vec());
    ChannelCredentialsBuilder::new().root_cert(identity.authorities().pem().into_bytes()).cert(certificate, key).build()
}

/// What a server shows, asked for anew with each connection that comes.
pub(super) fn of_server(membership: Arc<Membership>) -> ServerCredentials {
    ServerCredentials::with_fetcher(Box::new(Fetcher { membership, given: Mutex::new(None) }), OF_CALLERS)
}

struct Fetcher {
    membership: Arc<Membership>,
    /// What gRPC has.
    given: Mutex<Option<Arc<Identity>>>,
}

impl ServerCredentialsFetcher for Fetcher {
    fn fetch(&self) -> Result<Option<ServerCredentialsBuilder>, Box<dyn Error>> {
        let identity = self.membership.identity();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.as_ref().is_some_and(|given| Arc::ptr_eq(given, &identity)) {
            return Ok(None);
        }
        let (certificate, key) = (identity.certificate().as_bytes().to_vec(), identity.key().as_bytes().to_vec());
        let roots = identity.authorities().pem().into_bytes();
        let builder = ServerCredentialsBuilder::new().root_cert(roots, OF_CALLERS).add_cert(certificate, key);
        *given = Some(identity);
        Ok(Some(builder))
    }
}
