//! Callers of a downloader: the download that they ask for looks its sources up again.

use super::memory::Listed;
use super::*;
use crate::cancel::Cancel;
use crate::download::{FetchJob, fetch};

#[test]
fn a_caller_makes_a_downloader_look_for_others() {
    const HOUR: Duration = Duration::from_secs(3_600);
    // So slow that the download is under way for as long as this takes.
    let limits = UploadLimits { rate_max: Rate::new(64 << 10), ..UploadLimits::default() };
    let scene = scene_with(64 * MIB, 1 << 20, limits);
    let folder = tempfile::tempdir().unwrap();
    let mut job = FetchJob::new(scene.file_hash(), folder.path().join("part"), folder.path().join("copy"), 5);
    job.dial = crate::connect::Dial::plaintext();
    let scheduler = &mut job.limits.scheduler;
    (scheduler.lookup_pause_start, scheduler.lookup_pause_crowd, scheduler.lookup_pause_max) = (HOUR, HOUR, HOUR);
    let (told, hears) = crossbeam_channel::bounded(1);
    job.on_growing = Some(Box::new(move |growing| told.send(growing).unwrap()));
    let directory = Listed::of(&scene);
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        let downloading = scope.spawn(|| fetch(job, &directory, &mut |_| {}, &cancel));
        let growing = hears.recv_timeout(60 * SECOND).unwrap();
        let catalog = Arc::new(One(Arc::clone(&growing)));
        let server = PeerServer::start(Listen::plaintext("127.0.0.1:0"), catalog, UploadLimits::default()).unwrap();
        let offering = Scene { _folder: tempfile::tempdir().unwrap(), bytes: Vec::new(), held: growing, server };
        let before = directory.lookups();
        // The call wants nothing, so it ends after the first availability message.
        offering.fetch(vec![wanted(&offering, &[])]).unwrap();
        let is_late = crossbeam_channel::after(60 * SECOND);
        let looked_up = || directory.lookups() > before;
        while !looked_up() && is_late.try_recv().is_err() {
            let _a_moment = crossbeam_channel::after(SECOND / 50).recv();
        }
        // Without this, a failed test would wait for the end of the download.
        cancel.cancel();
        assert!(looked_up(), "the downloader made no lookup");
        assert!(downloading.join().unwrap().is_err());
    });
}
