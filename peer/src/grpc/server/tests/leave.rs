//! What is not public is served only to who shows a grant for it, and a grant that is shown has to be right.

use super::*;
use crate::clock::unix_now;
use crate::grants::Grant;
use crate::grants::testing::{Tracker, peer};
use crate::grpc::{CallError, Client, CommandReceiver, FetchCall, Patience, Speech, StreamEvent};
use crate::identity::testing::{Authority, Life};
use crate::upload::Standing;
use crate::upload::Standing::{Public, Restricted, Unheard};

/// One file, for whomever it is.
struct Door {
    held: Arc<Held>,
    standing: Mutex<Standing>,
}

impl Shelf for Door {
    fn held(&self, file_hash: FileHash, id: Option<ManifestId>) -> Option<Arc<Held>> {
        One(Arc::clone(&self.held)).held(file_hash, id)
    }

    fn standing(&self, file_hash: FileHash) -> Standing {
        // As of a node that shares nothing else.
        let is_it = file_hash == self.held.manifest().file_hash();
        if is_it { *self.standing.lock().unwrap() } else { Standing::Unheard }
    }

    fn spoiled(&self, _: &Held) {}

    fn altered(&self, _: &Held, _: ChunkIndex) {}
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
    fn new(standing: Standing) -> Self {
        let (authority, tracker) = (Authority::new(), Tracker::new());
        let membership = authority.member(1);
        membership.take_signers(tracker.signers());
        let scene = scene(3 * MIB, 1 << 20);
        let door = Arc::new(Door { held: Arc::clone(&scene.held), standing: Mutex::new(standing) });
        let listen = Listen::tls("127.0.0.1:0", Arc::clone(&membership)).and_plaintext("127.0.0.1:0");
        let shelf = Arc::clone(&door) as Arc<dyn Shelf>;
        let server = PeerServer::start(listen, shelf, UploadLimits::default()).unwrap();
        Self { authority, tracker, membership, door, scene: Scene { server, ..scene } }
    }

    fn is_now(&self, standing: Standing) {
        *self.door.standing.lock().unwrap() = standing;
    }

    fn client(&self) -> Client {
        let identity = Arc::new(self.authority.identity_for(peer(2), Life::day()));
        Client::new(self.scene.server.local_addr(), &Speech::Tls(identity, peer(1)), 5 * SECOND)
    }

    /// A right one for this long.
    fn grant(&self, seconds: u64) -> Grant {
        let claims = Tracker::claims(peer(2), self.scene.file_hash(), unix_now() + seconds);
        signed(&self.tracker, &claims)
    }

    /// What becomes of a `Fetch` and of a `GetManifest` call that show this: both the same.
    fn asked(&self, grant: Option<&Grant>) -> Result<(), String> {
        self.asked_of(self.scene.file_hash(), grant)
    }

    fn asked_of(&self, file_hash: FileHash, grant: Option<&Grant>) -> Result<(), String> {
        let client = self.client();
        let manifest = client
            .manifest(file_hash, None, grant, Patience { timeout: 20 * SECOND, cancel: &Cancel::new() })
            .map(drop);
        let (_commands, mut orders) = crate::grpc::commands();
        let mut call = client.fetch(file_hash, self.scene.held.manifest().id(), grant).unwrap();
        let fetched = match call.next(&mut orders) {
            StreamEvent::Message(_) => Ok(()),
            StreamEvent::Ended(ended) => ended,
            _ => panic!("nobody commands"),
        };
        assert_eq!(manifest, fetched);
        fetched.map_err(|error| error.to_string())
    }
}

fn signed(tracker: &Tracker, claims: &peernet_protos::claims::GrantClaims) -> Grant {
    Grant { text: tracker.sign(claims), expires_at: claims.exp, renew_at: u64::MAX }
}

/// Why the call ended.
fn end_of(call: &mut FetchCall, orders: &mut CommandReceiver) -> String {
    loop {
        match call.next(orders) {
            StreamEvent::Ended(ended) => break ended.unwrap_err().to_string(),
            StreamEvent::Message(_) => {}
            _ => panic!("nobody commands"),
        }
    }
}

#[test]
fn without_a_grant_a_closed_file_is_not_there() {
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
    swarm.is_now(Unheard);
    assert_eq!(swarm.asked(None).unwrap_err(), unknown);
    swarm.asked(Some(&swarm.grant(60))).unwrap();
    swarm.is_now(Public);
    swarm.asked(None).unwrap();
    swarm.scene.chunk(&plain, &swarm.scene.file_hash().to_string(), 0).unwrap();
}

#[test]
fn a_grant_in_plaintext_is_nobodys() {
    let swarm = Swarm::new(Restricted);
    let client = Client::new(swarm.scene.server.plaintext_addr().unwrap(), &Speech::Plaintext, 5 * SECOND);
    let patience = Patience { timeout: 20 * SECOND, cancel: &Cancel::new() };
    let refused = client.manifest(swarm.scene.file_hash(), None, Some(&swarm.grant(60)), patience);
    assert!(matches!(&refused, Err(CallError::Refused(why)) if why.contains("does not share")), "{refused:?}");
}

#[test]
fn a_wrong_grant_is_refused_with_words_whether_the_file_is_closed_here_or_not() {
    for standing in [Restricted, Unheard, Public] {
        let swarm = Swarm::new(standing);
        let (file, soon) = (swarm.scene.file_hash(), unix_now() + 60);
        let of = |claims| signed(&swarm.tracker, &claims);
        let bent = Grant { text: swarm.grant(60).text + "A", ..swarm.grant(60) };
        let access = swarm.tracker.sign_as("JWT", &Tracker::claims(peer(2), file, soon));
        for (grant, expected) in [
            (of(Tracker::claims(peer(3), file, soon)), "another account's"),
            (of(Tracker::claims(peer(2), FileHash([9; 32]), soon)), "for another file"),
            (of(Tracker::claims(peer(2), file, unix_now())), "has expired"),
            (bent, ""),
            (Grant { text: access, ..swarm.grant(60) }, "is no grant"),
            (Grant { text: "x".repeat(5_000), ..swarm.grant(60) }, "is no grant"),
        ] {
            let refused = swarm.asked(Some(&grant)).unwrap_err();
            assert!(refused.starts_with("refused: ") && refused.contains(expected), "{expected}: {refused}");
        }
        assert_eq!(swarm.scene.server.counters().bytes_sent, 0);
        swarm.asked(Some(&swarm.grant(60))).unwrap();
    }
}

#[test]
fn a_grant_from_when_the_file_was_public_ends_with_that() {
    let swarm = Swarm::new(Public);
    let mut claims = Tracker::claims(peer(2), swarm.scene.file_hash(), unix_now() + 60);
    claims.public = true;
    let grant = signed(&swarm.tracker, &claims);
    swarm.asked(Some(&grant)).unwrap();
    // Also in a call that is under way.
    let (client, id) = (swarm.client(), swarm.scene.held.manifest().id());
    let (_commands, mut orders) = crate::grpc::commands();
    let mut call = client.fetch(swarm.scene.file_hash(), id, Some(&grant)).unwrap();
    assert!(matches!(call.next(&mut orders), StreamEvent::Message(_)));
    swarm.is_now(Restricted);
    for refused in [swarm.asked(Some(&grant)).unwrap_err(), end_of(&mut call, &mut orders)] {
        assert!(refused.contains("from when the file was public"), "{refused}");
    }
    swarm.is_now(Unheard);
    swarm.asked(Some(&grant)).unwrap();
}

#[test]
fn a_grant_of_an_unknown_key_is_asked_about_and_a_public_file_served_meanwhile() {
    let swarm = Swarm::new(Public);
    let other = Tracker::new();
    let grant = signed(&other, &Tracker::claims(peer(2), swarm.scene.file_hash(), unix_now() + 60));
    swarm.asked(Some(&grant)).unwrap();
    assert!(swarm.membership.is_wished_for());
    swarm.is_now(Restricted);
    let failed = swarm.asked(Some(&grant)).unwrap_err();
    // No refusal for good: the key may be known in a moment. And the same of a file that is not here.
    assert!(failed.contains("not known here yet") && !failed.starts_with("refused"), "{failed}");
    let absent = Tracker::claims(peer(2), FileHash([9; 32]), unix_now() + 60);
    assert_eq!(swarm.asked_of(FileHash([9; 32]), Some(&signed(&other, &absent))).unwrap_err(), failed);
    swarm.membership.take_signers(other.signers());
    swarm.asked(Some(&grant)).unwrap();
}

#[test]
fn a_call_ends_with_its_grant_or_when_its_file_is_closed() {
    let swarm = Swarm::new(Restricted);
    let (client, id) = (swarm.client(), swarm.scene.held.manifest().id());
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
fn version_1_s_call_gets_what_is_public_whatever_it_shows_and_waits_for_no_turn_where_it_is_refused() {
    let swarm = Swarm::new(Restricted);
    // One chunk a minute or so: what had to wait for its turn would be late.
    swarm.scene.server.set_rate_max(Some(Rate::new(16 << 10).unwrap()));
    let claims = Tracker::claims(peer(2), swarm.scene.file_hash(), unix_now() + 60);
    let authorization = format!("Bearer {}", swarm.tracker.sign(&claims));
    let identity = swarm.authority.identity_for(peer(2), Life::day());
    let channel = crate::grpc::credentials::Speech::Tls(Arc::new(identity), peer(1))
        .of(ChannelBuilder::new(environment::client()).use_local_subchannel_pool(true))
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
fn a_newer_grant_carries_a_call_on_and_a_wrong_one_ends_it() {
    let swarm = Swarm::new(Restricted);
    let (client, manifest) = (swarm.client(), swarm.scene.held.manifest());
    let (_commands, mut orders) = crate::grpc::commands();
    let first = swarm.grant(2);
    let mut call = client.fetch(swarm.scene.file_hash(), manifest.id(), Some(&first)).unwrap();
    assert!(matches!(call.next(&mut orders), StreamEvent::Message(_)));
    call.show(&swarm.grant(60));
    // Asks for one chunk after the other until the first grant is over for more than a look of the server's.
    while unix_now() <= first.expires_at {
        call.want(&[ChunkIndex(0)]);
        loop {
            match call.next(&mut orders) {
                StreamEvent::Message(crate::grpc::FetchMessage::Block { last: true, .. }) => break,
                StreamEvent::Message(_) => {}
                StreamEvent::Ended(ended) => panic!("{ended:?}"),
                _ => panic!("nobody commands"),
            }
        }
    }
    call.show(&signed(&swarm.tracker, &Tracker::claims(peer(3), swarm.scene.file_hash(), unix_now() + 60)));
    let ended = end_of(&mut call, &mut orders);
    assert!(ended.contains("another account's"), "{ended}");
}
