//! Signed manifests at the tracker: publishing with this node's signature, and asking for publications.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use peernet_engine::ids::ManifestId;
use peernet_protos::limits::SIGNATURES_TOLD_MAX;
use peernet_protos::rest::{SignatureBody, SignatureRequest, SignaturesReply, StatusReply};

use super::http::Call;
use super::{TrackerClient, TrackerError, local};
use crate::publication::{Publication, PublicationKey, Publisher, is_signed};

/// The time that the tracker has to name the publisher where the name is only shown.
const AT_ONCE: Duration = Duration::from_secs(3);

impl TrackerClient {
    /// Publishes this manifest for the account in use, with this machine's key. Repeating it changes nothing. A tracker
    /// of an earlier version keeps no signatures, which is no error.
    pub(crate) fn sign(&self, manifest: ManifestId) -> Result<Option<PublicationKey>, TrackerError> {
        let account = self.session.current()?.ok_or(TrackerError::NotLoggedIn)?.peer_id;
        let signer = self.identity.signer().map_err(local)?;
        let request = SignatureRequest {
            key: BASE64URL_NOPAD.encode(signer.key().as_bytes()),
            signature: BASE64URL_NOPAD.encode(&signer.sign(account, manifest)),
        };
        let path = format!("/api/v1/manifests/{manifest}/signature");
        match self.authorised::<StatusReply>(Call::put(&path, &request)) {
            Err(error) if error.lacks_call("unknown_manifest") => Ok(None),
            reply => reply.map(|_| Some(signer.key())),
        }
    }

    /// Returns the first publication of a manifest, if the tracker replies at once: it is asked a single time, for 3 s.
    pub(crate) fn first_publication(&self, manifest: ManifestId) -> Result<Option<Publication>, TrackerError> {
        let path = format!("/api/v1/manifests/{manifest}/signatures");
        let call = Call::get(&path).repeatable_within(AT_ONCE, Duration::ZERO);
        Ok(self.publications(manifest, call)?.first().copied())
    }

    /// Returns the publication of a manifest by this publisher, if there is one.
    pub(crate) fn publication_by(
        &self,
        manifest: ManifestId,
        publisher: Publisher,
    ) -> Result<Option<Publication>, TrackerError> {
        let signer = match publisher {
            Publisher::Account(account) => format!("account={account}"),
            Publisher::Key(key) => format!("key={}", BASE64URL_NOPAD.encode(key.as_bytes())),
        };
        let path = format!("/api/v1/manifests/{manifest}/signatures?{signer}");
        let told = self.publications(manifest, Call::get(&path))?;
        Ok(told.into_iter().find(|publication| publication.is_of(publisher)))
    }

    /// Asks for publications. Signatures that are not right are left out, because the tracker only passes them on.
    fn publications(&self, manifest: ManifestId, call: Call<'_>) -> Result<Vec<Publication>, TrackerError> {
        match self.authorised::<SignaturesReply>(call) {
            Err(TrackerError::Answered { status: 404 | 405, .. }) => Ok(Vec::new()),
            reply => {
                let told = reply?.signatures.into_iter().take(SIGNATURES_TOLD_MAX);
                Ok(told.filter_map(|told| publication(manifest, &told)).collect())
            }
        }
    }
}

fn publication(manifest: ManifestId, told: &SignatureBody) -> Option<Publication> {
    let account = told.peer_id.parse().ok()?;
    let key = PublicationKey::new(bytes(&told.key)?);
    is_signed(account, manifest, &key, &bytes(&told.signature)?).then_some(Publication {
        account,
        key,
        signed_at: told.signed_at,
    })
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;
    use crate::publication::Signer;

    /// The signature as the tracker sends it.
    fn signed(signer: &Signer, account: PeerId, manifest: ManifestId) -> SignatureBody {
        SignatureBody {
            peer_id: account.to_string(),
            key: BASE64URL_NOPAD.encode(signer.key().as_bytes()),
            signature: BASE64URL_NOPAD.encode(&signer.sign(account, manifest)),
            signed_at: 9,
        }
    }

    #[test]
    fn publications_of_the_tracker_are_checked() {
        let signer = Signer::generate().unwrap();
        let account = PeerId::from_random([1; 16]);
        let manifest = ManifestId([7; 32]);
        let told = signed(&signer, account, manifest);
        let expected = Publication { account, key: signer.key(), signed_at: 9 };
        assert_eq!(publication(manifest, &told), Some(expected));
        assert_eq!(publication(ManifestId([8; 32]), &told), None);
        // Another account: the tracker lies about the publisher.
        let other = SignatureBody { peer_id: PeerId::from_random([2; 16]).to_string(), ..told.clone() };
        assert_eq!(publication(manifest, &other), None);
        for broken in [
            SignatureBody { key: String::new(), ..told.clone() },
            SignatureBody { signature: told.key.clone(), ..told.clone() },
            SignatureBody { peer_id: "bob".to_owned(), ..told.clone() },
        ] {
            assert_eq!(publication(manifest, &broken), None);
        }
    }

    #[test]
    fn no_flipped_letter_of_a_signature_or_key_is_passed_on() {
        let signer = Signer::generate().unwrap();
        let account = PeerId::from_random([1; 16]);
        let manifest = ManifestId([7; 32]);
        let told = signed(&signer, account, manifest);
        let flipped = |text: &str, place: usize| {
            let other = if &text[place..=place] == "A" { "B" } else { "A" };
            format!("{}{other}{}", &text[..place], &text[place + 1..])
        };
        for place in 0..told.signature.len() {
            let signature = flipped(&told.signature, place);
            assert_eq!(publication(manifest, &SignatureBody { signature, ..told.clone() }), None, "signature {place}");
        }
        for place in 0..told.key.len() {
            let key = flipped(&told.key, place);
            assert_eq!(publication(manifest, &SignatureBody { key, ..told.clone() }), None, "key {place}");
        }
        let later = SignatureBody { signed_at: 10, ..told };
        assert_eq!(publication(manifest, &later).map(|it| it.signed_at), Some(10), "the time is the tracker's word");
    }
}
