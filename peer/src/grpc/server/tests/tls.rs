//! Access over TLS, with real handshakes: callers that are served, and callers that are not.

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_protos::identity::TRACKER_NAME;

use super::*;
use crate::connect::ChannelSecurity;
use crate::grpc::{CallError, Client};
use crate::identity::testing::{Authority, Life, unix_now};
use crate::identity::{Bundle, Identity, IdentityParts};
use peernet_engine::candidate::Transport;

fn peer(number: u8) -> PeerId {
    PeerId::from_random([number; 16])
}

/// Peer 1 serves the scene's file, as a member of this authority's swarm.
struct Swarm {
    authority: Authority,
    membership: Arc<Membership>,
    scene: Scene,
}

impl Swarm {
    fn start() -> Self {
        Self::listening(|membership| Listen::tls("127.0.0.1:0", membership))
    }

    fn listening(listen: impl FnOnce(Arc<Membership>) -> Listen) -> Self {
        let authority = Authority::new();
        let membership = authority.member(1);
        let scene = scene(3 * MIB, 1 << 20);
        let catalog = Arc::new(One(Arc::clone(&scene.held)));
        let server = PeerServer::start(listen(Arc::clone(&membership)), catalog, UploadLimits::default()).unwrap();
        Self { authority, membership, scene: Scene { server, ..scene } }
    }

    /// Asks for the manifest as this identity, expecting `expected` to answer.
    fn ask_as(&self, identity: Identity, expected: PeerId) -> Result<Manifest, CallError> {
        self.ask(&self.client(&ChannelSecurity::Tls(Arc::new(identity), expected)))
    }

    fn client(&self, security: &ChannelSecurity) -> Client {
        Client::new(self.scene.server.local_addr(), security, 5 * SECOND)
    }

    fn ask(&self, client: &Client) -> Result<Manifest, CallError> {
        client
            .manifest(
                self.scene.file_hash(),
                None,
                None,
                crate::grpc::Patience { timeout: 20 * SECOND, cancel: &Cancel::new() },
            )
            .map(|(manifest, _)| manifest)
    }

    fn member(&self, number: u8) -> Identity {
        self.authority.identity_for(peer(number), Life::day())
    }
}

/// No connection, and so no answer, came to be.
#[track_caller]
fn refused(result: Result<Manifest, CallError>, what: &str) {
    assert!(matches!(result, Err(CallError::Transport(_))), "{what}: {result:?}");
}

#[test]
fn a_member_is_served_and_known_by_its_account() {
    let swarm = Swarm::start();
    assert_eq!(swarm.ask_as(swarm.member(2), peer(1)).unwrap(), **swarm.scene.held.manifest());
    let client = swarm.client(&ChannelSecurity::Tls(Arc::new(swarm.member(2)), peer(1)));
    let (_commands, mut orders) = crate::grpc::commands();
    let mut call = client.fetch(swarm.scene.file_hash(), swarm.scene.held.manifest().id(), None).unwrap();
    // The first message is the availability.
    assert!(matches!(call.next(&mut orders), crate::grpc::StreamEvent::Message(_)));
    let upload = swarm.scene.server.uploads().0.pop().unwrap();
    assert_eq!((upload.transport, upload.peer), (Transport::Tls, Some(peer(2))));
}

#[test]
fn callers_without_proof_are_refused_in_the_handshake() {
    let swarm = Swarm::start();
    let now = unix_now();
    // It says that it lasts, and its certificate says otherwise.
    let ended = Life { obtained_at: now - 7_200, expires_at: now - 3_600 };
    let parts = IdentityParts { expires_at: now + 3_600, ..swarm.authority.parts(peer(2), ended) };
    refused(swarm.ask_as(Identity::new(parts).unwrap(), peer(1)), "a certificate that has ended");
    // Trusts the server, and has a certificate of another authority.
    let foreign = Authority::new();
    let both = swarm.authority.pem() + &foreign.pem();
    let parts = IdentityParts { authorities: both, ..foreign.parts(peer(2), Life::day()) };
    refused(swarm.ask_as(Identity::new(parts).unwrap(), peer(1)), "a foreign authority");
    refused(swarm.ask(&swarm.client(&ChannelSecurity::Plaintext)), "plaintext");
    let roots = swarm.authority.pem().into_bytes();
    let without_certificate = ChannelBuilder::new(environment::client())
        .enable_http_proxy(false)
        .use_local_subchannel_pool(true)
        .set_credentials(grpcio::ChannelCredentialsBuilder::new().root_cert(roots).build())
        .override_ssl_target(peernet_protos::identity::peer_name(&peer(1).to_string()))
        .connect(&swarm.scene.server.local_addr().to_string());
    let error = swarm.scene.chunk(&grpcio::Client::new(without_certificate), &swarm.scene.file_hash().to_string(), 0);
    assert!(error.as_ref().is_err_and(|error| error.starts_with("14-UNAVAILABLE")), "{error:?}");
    // And the same server serves on.
    swarm.ask_as(swarm.member(2), peer(1)).unwrap();
    assert_eq!(swarm.scene.server.counters().bytes_sent, 0);
}

#[test]
fn another_peer_at_the_expected_address_is_refused() {
    let swarm = Swarm::start();
    refused(swarm.ask_as(swarm.member(2), peer(3)), "another peer");
    let foreign = Authority::new();
    refused(swarm.ask_as(foreign.identity_for(peer(2), Life::day()), peer(1)), "a peer of another swarm");
}

#[test]
fn a_certificate_without_an_account_is_refused_with_a_reason() {
    let swarm = Swarm::start();
    let key = crate::identity::new_key().unwrap();
    let both = [TRACKER_NAME.to_owned(), peernet_protos::identity::peer_name(&peer(2).to_string())];
    for (names, expected) in [(&both[..1], false), (&both[..], true)] {
        let certificate = swarm.authority.issue(names, &key, Life::day());
        let credentials = grpcio::ChannelCredentialsBuilder::new()
            .root_cert(swarm.authority.pem().into_bytes())
            .cert(certificate.into_bytes(), key.clone().into_bytes())
            .build();
        let channel = ChannelBuilder::new(environment::client())
            .enable_http_proxy(false)
            .use_local_subchannel_pool(true)
            .set_credentials(credentials)
            .override_ssl_target(peernet_protos::identity::peer_name(&peer(1).to_string()))
            .connect(&swarm.scene.server.local_addr().to_string());
        let answer = swarm.scene.chunk(&grpcio::Client::new(channel), &swarm.scene.file_hash().to_string(), 0);
        match answer {
            Ok(_) => assert!(expected, "{names:?}"),
            Err(error) => assert!(!expected && error.starts_with("16-UNAUTHENTICATED the certificate"), "{error}"),
        }
    }
}

#[test]
fn an_expelled_account_is_refused_and_its_call_ended() {
    let swarm = Swarm::start();
    let client = swarm.client(&ChannelSecurity::Tls(Arc::new(swarm.member(2)), peer(1)));
    let stays = swarm.client(&ChannelSecurity::Tls(Arc::new(swarm.member(3)), peer(1)));
    swarm.ask(&client).unwrap();
    let (_commands, mut orders) = crate::grpc::commands();
    let mut call = client.fetch(swarm.scene.file_hash(), swarm.scene.held.manifest().id(), None).unwrap();
    // The first message is the availability.
    assert!(matches!(call.next(&mut orders), crate::grpc::StreamEvent::Message(_)));
    swarm.membership.revoke([peer(2)].into(), Default::default());
    let refused = |error: &CallError| matches!(error, CallError::Refused(why) if why.contains("revoked"));
    let ended = loop {
        if let crate::grpc::StreamEvent::Ended(ended) = call.next(&mut orders) {
            break ended;
        }
    };
    assert!(ended.as_ref().is_err_and(refused), "{ended:?}");
    let again = swarm.ask(&client);
    assert!(again.as_ref().is_err_and(refused), "{again:?}");
    swarm.ask(&stays).unwrap();
    swarm.membership.revoke(Default::default(), Default::default());
    swarm.ask(&client).unwrap();
}

#[test]
fn a_revoked_device_is_cut_off_and_its_account_is_not() {
    let swarm = Swarm::start();
    let device = |number: u8| DeviceId::from_random([number; 16]);
    let of = |number| {
        let identity = swarm.authority.device_of(peer(2), device(number));
        swarm.client(&ChannelSecurity::Tls(Arc::new(identity), peer(1)))
    };
    let lost = of(1);
    let kept = of(2);
    let (_commands, mut orders) = crate::grpc::commands();
    let mut call = lost.fetch(swarm.scene.file_hash(), swarm.scene.held.manifest().id(), None).unwrap();
    assert!(matches!(call.next(&mut orders), crate::grpc::StreamEvent::Message(_)));
    swarm.membership.revoke(Default::default(), [device(1)].into());
    let refused =
        |error: &CallError| matches!(error, CallError::Refused(why) if why.contains("this device is revoked"));
    let ended = loop {
        if let crate::grpc::StreamEvent::Ended(ended) = call.next(&mut orders) {
            break ended;
        }
    };
    assert!(ended.as_ref().is_err_and(refused), "{ended:?}");
    let again = swarm.ask(&lost);
    assert!(again.as_ref().is_err_and(refused), "{again:?}");
    swarm.ask(&kept).unwrap();
    // One without a device is of the account alone.
    swarm.ask_as(swarm.member(2), peer(1)).unwrap();
}

#[test]
fn new_connections_get_a_renewed_certificate_and_old_ones_go_on() {
    let swarm = Swarm::start();
    let before = swarm.client(&ChannelSecurity::Tls(Arc::new(swarm.member(2)), peer(1)));
    swarm.ask(&before).unwrap();
    // By an authority that takes over, so that it can be told from the one before.
    let next = Authority::new();
    let both = swarm.authority.pem() + &next.pem();
    let of_next = |number| {
        let parts = IdentityParts { authorities: both.clone(), ..next.parts(peer(number), Life::day()) };
        Identity::new(parts).unwrap()
    };
    let trusts_next_only = || next.identity_for(peer(4), Life::day());
    refused(swarm.ask_as(trusts_next_only(), peer(1)), "before");
    swarm.membership.replace(of_next(1));
    swarm.ask_as(trusts_next_only(), peer(1)).unwrap();
    swarm.ask(&before).unwrap();
    // One that knows the old authority only does not take the new one's.
    refused(swarm.ask_as(swarm.member(2), peer(1)), "after");
    assert_eq!(Bundle::parse(&both).unwrap().fingerprints().len(), 2);
}

#[test]
fn a_server_whose_own_certificate_has_ended_serves_nobody() {
    let swarm = Swarm::start();
    let client = swarm.client(&ChannelSecurity::Tls(Arc::new(swarm.member(2)), peer(1)));
    swarm.ask(&client).unwrap();
    let now = unix_now();
    let ended = Life { obtained_at: now - 7_200, expires_at: now - 3_600 };
    swarm.membership.replace(swarm.authority.identity_for(peer(1), ended));
    refused(swarm.ask(&client), "a connection from before");
    refused(swarm.ask_as(swarm.member(2), peer(1)), "a new connection");
    swarm.membership.replace(swarm.member(1));
    swarm.ask(&client).unwrap();
}

#[test]
fn plaintext_has_a_port_of_its_own_where_it_is_allowed() {
    let swarm = Swarm::listening(|membership| Listen::tls("127.0.0.1:0", membership).and_plaintext("127.0.0.1:0"));
    let open = swarm.scene.server.plaintext_addr().unwrap();
    assert_ne!(open, swarm.scene.server.local_addr());
    swarm.ask(&Client::new(open, &ChannelSecurity::Plaintext, 5 * SECOND)).unwrap();
    refused(swarm.ask(&swarm.client(&ChannelSecurity::Plaintext)), "plaintext at the TLS port");
    let tls = ChannelSecurity::Tls(Arc::new(swarm.member(2)), peer(1));
    refused(swarm.ask(&Client::new(open, &tls, 5 * SECOND)), "TLS at the plaintext port");
    swarm.ask(&swarm.client(&tls)).unwrap();
    assert_eq!(Swarm::start().scene.server.plaintext_addr(), None);
}
