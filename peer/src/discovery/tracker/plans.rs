//! A cache of the last plans, so that the tracker needs to send only the changes since.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peernet_engine::ids::FileHash;
use peernet_protos::rest::{PlanManifest, PlanReply, PlanSource};

use super::TrackerError;
use super::http::HttpReply;

/// The most files whose plans are kept. Past that, all plans are forgotten and asked for in full.
const PLANS_MAX: usize = 256;
/// The most sources of a file that are kept beside those of its plan.
const SOURCES_MAX: usize = 200;

/// The last plan of a file.
struct Kept {
    etag: String,
    plan: PlanReply,
    /// The sources that were sent in full, by manifest and peer.
    sources: HashMap<(String, String), PlanSource>,
}

/// The cache.
#[derive(Default)]
pub(super) struct Plans {
    known: Mutex<HashMap<FileHash, Kept>>,
}

impl Plans {
    /// Returns the present plan of a file. `ask` gets the ETag of the kept plan. If its reply is a change of another
    /// plan, `ask` is called again without.
    pub(super) fn ask(
        &self,
        file: FileHash,
        ask: impl Fn(Option<String>) -> Result<HttpReply, TrackerError>,
    ) -> Result<PlanReply, TrackerError> {
        let etag = self.lock().get(&file).map(|known| known.etag.clone());
        let answer = ask(etag.clone())?;
        if let Some(plan) = self.take(file, etag.as_deref(), &answer)? {
            return Ok(plan);
        }
        self.lock().remove(&file);
        let answer = ask(None)?;
        self.take(file, None, &answer)?.ok_or_else(|| TrackerError::Malformed("changes of no plan".to_owned()))
    }

    /// Makes the whole plan of a reply; `None` where the reply refers to sources that are not kept.
    fn take(&self, file: FileHash, asked: Option<&str>, answer: &HttpReply) -> Result<Option<PlanReply>, TrackerError> {
        let mut plans = self.lock();
        let known = plans.get(&file).filter(|known| asked == Some(known.etag.as_str()));
        if answer.status == 304 {
            return Ok(known.map(|known| known.plan.clone()));
        }
        let reply: PlanReply = answer.parse()?;
        let is_delta = reply.base.is_some();
        let (before, merged) = match (is_delta, known) {
            (false, _) => (HashMap::new(), Some(reply)),
            (true, Some(known)) if reply.base.as_deref() == asked => {
                (known.sources.clone(), merge(&known.sources, reply))
            }
            (true, _) => return Ok(None),
        };
        let (Some(plan), Some(etag)) = (&merged, &answer.etag) else {
            plans.remove(&file);
            return Ok(merged);
        };
        if plans.len() >= PLANS_MAX && !plans.contains_key(&file) {
            plans.clear();
        }
        let sources = remembered(before, plan);
        plans.insert(file, Kept { etag: etag.clone(), plan: plan.clone(), sources });
        Ok(merged)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileHash, Kept>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies changes to the kept sources; `None` where they refer to a source that is not kept.
fn merge(known: &HashMap<(String, String), PlanSource>, delta: PlanReply) -> Option<PlanReply> {
    let whole = |manifest: PlanManifest| {
        let PlanManifest { manifest_id, mut sources, kept, .. } = manifest;
        for peer in kept {
            sources.push(known.get(&(manifest_id.clone(), peer))?.clone());
        }
        Some(PlanManifest { manifest_id, sources, kept: Vec::new(), ..manifest })
    };
    let manifests = delta.manifests.into_iter().map(whole).collect::<Option<_>>()?;
    Some(PlanReply { manifests, base: None, ..delta })
}

/// Returns the sources to keep after a plan: the kept ones without those that are gone, and those of the plan.
fn remembered(
    mut sources: HashMap<(String, String), PlanSource>,
    plan: &PlanReply,
) -> HashMap<(String, String), PlanSource> {
    sources.retain(|(_, peer), _| !plan.gone.contains(peer));
    if sources.len() > SOURCES_MAX {
        sources.clear();
    }
    for manifest in &plan.manifests {
        let shown = manifest
            .sources
            .iter()
            .map(|source| ((manifest.manifest_id.clone(), source.peer_id.clone()), source.clone()));
        sources.extend(shown);
    }
    sources
}

#[cfg(test)]
mod tests {
    use peernet_protos::rest::Have;

    use super::*;

    fn source(peer: &str) -> PlanSource {
        PlanSource {
            peer_id: peer.to_owned(),
            addresses: vec![format!("{peer}:1")],
            transport: "grpc".to_owned(),
            reputation_score: 0.5,
            have: Have::Complete,
        }
    }

    /// `told` and `kept` by name, with commas between them.
    fn plan(base: Option<&str>, told: &str, kept: &str, gone: &str) -> PlanReply {
        let names = |text: &str| text.split_terminator(',').map(str::to_owned).collect::<Vec<_>>();
        let sources = names(told).iter().map(|name| source(name)).collect();
        let manifest =
            PlanManifest { manifest_id: "m".to_owned(), size: 1, chunk_size: 1 << 20, sources, kept: names(kept) };
        PlanReply {
            base: base.map(str::to_owned),
            gone: names(gone),
            manifests: vec![manifest],
            ..PlanReply::default()
        }
    }

    /// Plays answers. Returns the base plan of each request, and the sources of each resulting plan.
    fn play(answers: Vec<(u16, &str, Option<PlanReply>)>, asks: usize) -> (Vec<Option<String>>, Vec<String>) {
        let plans = Plans::default();
        let asked = Mutex::new(Vec::new());
        let answers = Mutex::new(answers.into_iter());
        let mut named = Vec::new();
        for _ in 0..asks {
            let reply = plans.ask(FileHash([1; 32]), |known| {
                asked.lock().expect("no panic").push(known);
                let (status, etag, plan) = answers.lock().expect("no panic").next().expect("is asked no more often");
                let body = plan.map_or_else(Vec::new, |plan| serde_json::to_vec(&plan).expect("prints"));
                Ok(HttpReply::new(status, Some(etag.to_owned()), body))
            });
            let sources = &reply.expect("makes a plan").manifests[0].sources;
            named.push(sources.iter().map(|source| source.peer_id.as_str()).collect::<Vec<_>>().join(","));
        }
        (asked.into_inner().expect("no panic"), named)
    }

    #[test]
    fn changes_complete_the_kept_plan() {
        let (asked, named) = play(
            vec![
                (200, "1", Some(plan(None, "a,b", "", ""))),
                (304, "1", None),
                (200, "2", Some(plan(Some("1"), "c", "a", "b"))),
                (200, "3", Some(plan(Some("2"), "", "c,a", ""))),
            ],
            4,
        );
        assert_eq!(named, ["a,b", "a,b", "c,a", "c,a"]);
        assert_eq!(asked, [None, Some("1".to_owned()), Some("1".to_owned()), Some("2".to_owned())]);
    }

    #[test]
    fn changes_of_another_plan_are_asked_for_in_full() {
        for delta in [plan(Some("1"), "", "b", ""), plan(Some("0"), "b", "", "")] {
            let first = (200, "1", Some(plan(None, "a", "", "")));
            let (asked, named) =
                play(vec![first, (200, "2", Some(delta)), (200, "2", Some(plan(None, "b", "", "")))], 2);
            assert_eq!((named, asked.last()), (vec!["a".to_owned(), "b".to_owned()], Some(&None)));
        }
    }

    /// Asks a cache for a file's plan. The tracker gives this answer to the first question, and to one without an ETag.
    fn ask(
        plans: &Plans,
        file: u16,
        answer: HttpReply,
        full: Option<HttpReply>,
    ) -> (Result<PlanReply, TrackerError>, usize) {
        let asked = Mutex::new((0, vec![full, Some(answer)]));
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&file.to_be_bytes());
        let reply = plans.ask(FileHash(hash), |_| {
            let mut asked = asked.lock().expect("no panic");
            asked.0 += 1;
            asked.1.pop().flatten().ok_or_else(|| TrackerError::Malformed("asked too often".to_owned()))
        });
        let asked = asked.into_inner().expect("no panic").0;
        (reply, asked)
    }

    fn answer(status: u16, etag: Option<&str>, plan: Option<PlanReply>) -> HttpReply {
        let body = plan.map_or_else(Vec::new, |plan| serde_json::to_vec(&plan).expect("prints"));
        HttpReply::new(status, etag.map(str::to_owned), body)
    }

    #[test]
    fn changes_without_a_plan_are_an_error_when_nothing_else_comes() {
        let plans = Plans::default();
        let malformed = |what: &str| Err(TrackerError::Malformed(what.to_owned()));
        let unchanged = || answer(304, Some("1"), None);
        assert_eq!(ask(&plans, 1, unchanged(), Some(unchanged())), (malformed("changes of no plan"), 2));
        let delta = || answer(200, Some("2"), Some(plan(Some("1"), "a", "b", "")));
        assert_eq!(ask(&plans, 1, delta(), Some(delta())), (malformed("changes of no plan"), 2));
        assert_eq!(ask(&plans, 1, delta(), None), (malformed("asked too often"), 2));
        assert!(plans.lock().is_empty(), "nothing of this is kept");
    }

    #[test]
    fn a_plan_without_an_etag_is_used_and_not_kept() {
        let plans = Plans::default();
        let whole = plan(None, "a", "", "");
        let first = ask(&plans, 1, answer(200, Some("1"), Some(whole.clone())), None);
        assert_eq!((first, plans.lock().len()), ((Ok(whole.clone()), 1), 1));
        let second = ask(&plans, 1, answer(200, None, Some(whole.clone())), None);
        assert_eq!((second, plans.lock().len()), ((Ok(whole), 1), 0));
    }

    #[test]
    fn the_cache_starts_over_when_it_is_full() {
        let plans = Plans::default();
        let keep = |file: u16| ask(&plans, file, answer(200, Some("1"), Some(plan(None, "a", "", ""))), None).1;
        for file in 0..PLANS_MAX as u16 {
            keep(file);
        }
        assert_eq!(plans.lock().len(), PLANS_MAX);
        keep(7);
        assert_eq!(plans.lock().len(), PLANS_MAX, "a file that is known needs no room");
        keep(PLANS_MAX as u16);
        assert_eq!(plans.lock().len(), 1);
    }

    #[test]
    fn sources_that_are_gone_or_too_many_are_forgotten() {
        let names = |count: usize| (0..count).map(|number| format!("p{number}")).collect::<Vec<_>>().join(",");
        let first = remembered(HashMap::new(), &plan(None, &names(SOURCES_MAX), "", ""));
        assert_eq!(first.len(), SOURCES_MAX);
        let second = remembered(first, &plan(Some("1"), "new", "", "p0,p1"));
        assert_eq!(second.len(), SOURCES_MAX - 1);
        let third = remembered(second, &plan(Some("2"), "new,newer,newest", "", ""));
        assert_eq!(third.len(), SOURCES_MAX + 1);
        let fourth = remembered(third, &plan(Some("3"), "last", "", ""));
        let kept: Vec<_> = fourth.into_keys().collect();
        assert_eq!(kept, [("m".to_owned(), "last".to_owned())]);
    }
}
