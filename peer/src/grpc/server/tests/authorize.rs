//! Non-public files are served only to callers that present a grant, and a presented grant has to count.

use super::*;
use crate::access::GrantToken;
use crate::access::testing::{Tracker, peer};
use crate::clock::unix_now;
use crate::connect::ChannelSecurity;
use crate::grpc::{CallError, Client, CommandReceiver, FetchCall, Patience, StreamEvent};
use crate::identity::testing::{Authority, Life};
use peernet_engine::access::KnownVisibility;
use peernet_engine::access::KnownVisibility::{Public, Restricted, Unknown};

/// One file, for whomever it is.
struct Door {
    held: Arc<SharedFile>,
    visibility: Mutex<KnownVisibility>,
}

impl FileCatalog for Door {
    fn find(&self, file_hash: FileHash, id: Option<ManifestId>) -> Option<Arc<SharedFile>> {
        One(Arc::clone(&self.held)).find(file_hash, id)
    }

    fn visibility(&self, file_hash: FileHash) -> KnownVisibility {
        // The node shares nothing else.
        let is_it = file_hash == self.held.manifest().file_hash();
        if is_it { *self.visibility.lock().unwrap() } else { Unknown }
    }

    fn withdraw_unreadable(&self, _: &SharedFile) {}

    fn withdraw_altered(&self, _: &SharedFile, _: ChunkIndex) {}
}

/// Peer 1 serves in TLS and in plaintext; peer 2 asks.
struct Swarm {
    authority: Authority,
    tracker: Tracker,
    membership: Arc<Membership>,
    door: Arc<Door>,
    scene: Scene,
}

impl Swarm {
    fn new(visibility: KnownVisibility) -> Self {
        let authority = Authority::new();
        let tracker = Tracker::new();
        let membership = authority.member(1);
        membership.replace_tracker_keys(tracker.keys());
        let scene = scene(3 * MIB, 1 << 20);
        let door = Arc::new(Door { held: Arc::clone(&scene.held), visibility: Mutex::new(visibility) });
        let listen = Listen::tls("127.0.0.1:0", Arc::clone(&membership)).and_plaintext("127.0.0.1:0");
        let catalog = Arc::clone(&door) as Arc<dyn FileCatalog>;
        let server = PeerServer::start(listen, catalog, UploadLimits::default()).unwrap();
        Self { authority, tracker, membership, door, scene: Scene { server, ..scene } }
    }

    fn is_now(&self, visibility: KnownVisibility) {
        *self.door.visibility.lock().unwrap() = visibility;
    }

    fn client(&self) -> Client {
        let identity = Arc::new(self.authority.identity_for(peer(2), Life::day()));
        Client::new(self.scene.server.local_addr(), &ChannelSecurity::Tls(identity, peer(1)), 5 * SECOND)
    }

    /// A right one for this long.
    fn grant(&self, seconds: u64) -> GrantToken {
        let claims = Tracker::claims(peer(2), self.scene.file_hash(), unix_now() + seconds);
        signed(&self.tracker, &claims)
    }

    /// Makes a `Fetch` and a `GetManifest` call that present this grant, checks that both end alike, and returns that
    /// end.
    fn asked(&self, grant: Option<&GrantToken>) -> Result<(), String> {
        self.asked_of(self.scene.file_hash(), grant)
    }

    fn asked_of(&self, file_hash: FileHash, grant: Option<&GrantToken>) -> Result<(), String> {
        let client = self.client();
        let manifest = client
            .manifest(file_hash, None, grant, Patience { timeout: 20 * SECOND, cancel: &Cancel::new() })
            .map(drop);
        let (_commands, mut orders) = crate::grpc::commands();
        let mut call = client.fetch(file_hash, self.scene.held.manifest().id(), grant).unwrap();
        let fetched = match call.next(&mut orders) {
            StreamEvent::Message(_) => Ok(()),
            StreamEvent::Ended(ended) => ended,
            _ => panic!("no command was sent"),
        };
        assert_eq!(manifest, fetched);
        fetched.map_err(|error| error.to_string())
    }
}

fn signed(tracker: &Tracker, claims: &peernet_protos::claims::GrantClaims) -> GrantToken {
    GrantToken { text: tracker.sign(claims), expires_at: claims.exp, renew_at: u64::MAX }
}

/// Waits for the end of the call, and returns its reason.
fn end_of(call: &mut FetchCall, orders: &mut CommandReceiver) -> String {
    loop {
        match call.next(orders) {
            StreamEvent::Ended(ended) => break ended.unwrap_err().to_string(),
            StreamEvent::Message(_) => {}
            _ => panic!("no command was sent"),
        }
    }
}

#[test]
fn without_a_grant_a_restricted_file_seems_absent() {
    let swarm = Swarm::new(Restricted);
    let unknown = swarm.asked_of(FileHash([9; 32]), None).unwrap_err();
    assert_eq!(swarm.asked(None).unwrap_err(), unknown);
    assert!(unknown.contains("does not share that file"), "{unknown}");
    // Version 1's call, which has no grants, over TLS and in plaintext.
    let open = swarm.scene.server.plaintext_addr().unwrap();
    let channel = ChannelBuilder::new(environment::client()).use_local_subchannel_pool(true).connect(&open.to_string());
    let plain = grpcio::Client::new(channel);
    for hash in [swarm.scene.file_hash(), FileHash([9; 32])] {
        let error = swarm.scene.chunk(&plain, &hash.to_string(), 0).unwrap_err();
        assert!(error.contains("does not share that file"), "{error}");
    }
    swarm.asked(Some(&swarm.grant(60))).unwrap();
    swarm.is_now(Unknown);
    assert_eq!(swarm.asked(None).unwrap_err(), unknown);
    swarm.asked(Some(&swarm.grant(60))).unwrap();
    swarm.is_now(Public);
    swarm.asked(None).unwrap();
    swarm.scene.chunk(&plain, &swarm.scene.file_hash().to_string(), 0).unwrap();
}

#[test]
fn a_grant_in_plaintext_does_not_count() {
    let swarm = Swarm::new(Restricted);
    let client = Client::new(swarm.scene.server.plaintext_addr().unwrap(), &ChannelSecurity::Plaintext, 5 * SECOND);
    let patience = Patience { timeout: 20 * SECOND, cancel: &Cancel::new() };
    let refused = client.manifest(swarm.scene.file_hash(), None, Some(&swarm.grant(60)), patience);
    assert!(matches!(&refused, Err(CallError::Refused(why)) if why.contains("does not share")), "{refused:?}");
}

#[test]
fn a_wrong_grant_is_refused_with_its_reason() {
    for visibility in [Restricted, Unknown, Public] {
        let swarm = Swarm::new(visibility);
        let file = swarm.scene.file_hash();
        let soon = unix_now() + 60;
        let of = |claims| signed(&swarm.tracker, &claims);
        let bent = GrantToken { text: swarm.grant(60).text + "A", ..swarm.grant(60) };
        let access = swarm.tracker.sign_as("JWT", &Tracker::claims(peer(2), file, soon));
        for (grant, expected) in [
            (of(Tracker::claims(peer(3), file, soon)), "for another account"),
            (of(Tracker::claims(peer(2), FileHash([9; 32]), soon)), "for another file"),
            (of(Tracker::claims(peer(2), file, unix_now())), "has expired"),
            (bent, ""),
            (GrantToken { text: access, ..swarm.grant(60) }, "is not a grant"),
            (GrantToken { text: "x".repeat(5_000), ..swarm.grant(60) }, "is not a grant"),
        ] {
            let refused = swarm.asked(Some(&grant)).unwrap_err();
            assert!(refused.starts_with("refused: ") && refused.contains(expected), "{expected}: {refused}");
        }
        assert_eq!(swarm.scene.server.counters().bytes_sent, 0);
        swarm.asked(Some(&swarm.grant(60))).unwrap();
    }
}

#[test]
fn a_grant_from_public_times_ends_with_the_restriction() {
    let swarm = Swarm::new(Public);
    let mut claims = Tracker::claims(peer(2), swarm.scene.file_hash(), unix_now() + 60);
    claims.public = true;
    let grant = signed(&swarm.tracker, &claims);
    swarm.asked(Some(&grant)).unwrap();
    // The grant also counts in a call that is under way.
    let client = swarm.client();
    let id = swarm.scene.held.manifest().id();
    let (_commands, mut orders) = crate::grpc::commands();
    let mut call = client.fetch(swarm.scene.file_hash(), id, Some(&grant)).unwrap();
    assert!(matches!(call.next(&mut orders), StreamEvent::Message(_)));
    swarm.is_now(Restricted);
    for refused in [swarm.asked(Some(&grant)).unwrap_err(), end_of(&mut call, &mut orders)] {
        assert!(refused.contains("was issued while the file was public"), "{refused}");
    }
    swarm.is_now(Unknown);
    swarm.asked(Some(&grant)).unwrap();
}

#[test]
fn an_unknown_key_is_requested_while_public_files_are_served() {
    let swarm = Swarm::new(Public);
    let other = Tracker::new();
    let grant = signed(&other, &Tracker::claims(peer(2), swarm.scene.file_hash(), unix_now() + 60));
    swarm.asked(Some(&grant)).unwrap();
    assert!(swarm.membership.is_key_request_pending());
    swarm.is_now(Restricted);
    let failed = swarm.asked(Some(&grant)).unwrap_err();
    // The refusal is temporary, because the key may be known in a moment. An absent file gives the same error.
    assert!(failed.contains("not known here yet") && !failed.starts_with("refused"), "{failed}");
    let absent = Tracker::claims(peer(2), FileHash([9; 32]), unix_now() + 60);
    assert_eq!(swarm.asked_of(FileHash([9; 32]), Some(&signed(&other, &absent))).unwrap_err(), failed);
    swarm.membership.replace_tracker_keys(other.keys());
    swarm.asked(Some(&grant)).unwrap();
}

#[test]
fn a_call_ends_with_its_grant_or_when_its_file_is_restricted() {
    let swarm = Swarm::new(Restricted);
    let client = swarm.client();
    let id = swarm.scene.held.manifest().id();
    let (_commands, mut orders) = crate::grpc::commands();
    let mut call = client.fetch(swarm.scene.file_hash(), id, Some(&swarm.grant(2))).unwrap();
    assert!(matches!(call.next(&mut orders), StreamEvent::Message(_)));
    let ended = end_of(&mut call, &mut orders);
    assert!(ended.contains("the grant has expired"), "{ended}");
    swarm.is_now(Public);
    let mut call = client.fetch(swarm.scene.file_hash(), id, None).unwrap();
    assert!(matches!(call.next(&mut orders), StreamEvent::Message(_)));
    swarm.is_now(Restricted);
    let ended = end_of(&mut call, &mut orders);
    assert!(ended.contains("not public any more"), "{ended}");
}

#[test]
fn version_1_gets_public_files_only_and_is_refused_at_once() {
    let swarm = Swarm::new(Restricted);
    // One chunk a minute or so: a job that waited for its turn would be late.
    swarm.scene.server.set_rate_max(Some(Rate::new(16 << 10).unwrap()));
    let claims = Tracker::claims(peer(2), swarm.scene.file_hash(), unix_now() + 60);
    let authorization = format!("Bearer {}", swarm.tracker.sign(&claims));
    let identity = swarm.authority.identity_for(peer(2), Life::day());
    let channel = ChannelBuilder::new(environment::client()).use_local_subchannel_pool(true);
    let channel = crate::grpc::credentials::secure(channel, &ChannelSecurity::Tls(Arc::new(identity), peer(1)))
        .connect(&swarm.scene.server.local_addr().to_string());
    let client = grpcio::Client::new(channel);
    let request =
        peernet_protos::grpc::ChunkRequest { file_hash: swarm.scene.file_hash().to_string(), ..Default::default() };
    let mut headers = grpcio::MetadataBuilder::new();
    headers.add_str("authorization", &authorization).unwrap();
    let options = CallOption::default().timeout(10 * SECOND).headers(headers.build());
    let call = raw(DOWNLOAD_CHUNK, MethodType::Unary);
    let refused = client.unary_call(&call, &request.write_to_bytes().unwrap(), options).map_err(text).unwrap_err();
    assert!(refused.contains("does not share that file"), "{refused}");
}

#[test]
fn a_newer_grant_continues_a_call_and_a_wrong_one_ends_it() {
    let swarm = Swarm::new(Restricted);
    let client = swarm.client();
    let manifest = swarm.scene.held.manifest();
    let (_commands, mut orders) = crate::grpc::commands();
    let first = swarm.grant(2);
    let mut call = client.fetch(swarm.scene.file_hash(), manifest.id(), Some(&first)).unwrap();
    assert!(matches!(call.next(&mut orders), StreamEvent::Message(_)));
    call.present(&swarm.grant(60));
    // Asks for one chunk after the other until the first grant is over for more than a look of the server's.
    while unix_now() <= first.expires_at {
        call.want(&[ChunkIndex(0)]);
        loop {
            match call.next(&mut orders) {
                StreamEvent::Message(crate::grpc::FetchMessage::Block { last: true, .. }) => break,
                StreamEvent::Message(_) => {}
                StreamEvent::Ended(ended) => panic!("{ended:?}"),
                _ => panic!("no command was sent"),
            }
        }
    }
    call.present(&signed(&swarm.tracker, &Tracker::claims(peer(3), swarm.scene.file_hash(), unix_now() + 60)));
    let ended = end_of(&mut call, &mut orders);
    assert!(ended.contains("for another account"), "{ended}");
}
