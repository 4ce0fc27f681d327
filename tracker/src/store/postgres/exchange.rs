//! News between trackers, as rows that each tracker writes for itself and the others read.
//!
//! A tracker's batches are numbered and written one after the other, so that whoever has read up to a number has missed none: across
//! trackers no such order exists, and none is needed.

use peernet_engine::time::UnixMillis;

use crate::store::StoreError;
use crate::store::exchange::{Batch, TrackerId, TrackerRow};

use super::session::Session;
use super::trouble::Trouble;
use super::values::Uuid;

pub(super) fn meet(
    session: &mut Session,
    myself: &TrackerRow,
    seen_after: UnixMillis,
) -> Result<Vec<TrackerRow>, Trouble> {
    session.execute(
        "INSERT INTO trackers (id, public_key, seen_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET public_key = \
         EXCLUDED.public_key, seen_at = EXCLUDED.seen_at",
        &[&Uuid(myself.id.0), &myself.public_key.as_slice(), &myself.seen_at.0],
    )?;
    trackers(session, seen_after)
}

pub(super) fn trackers(session: &mut Session, seen_after: UnixMillis) -> Result<Vec<TrackerRow>, Trouble> {
    let rows = session
        .query("SELECT id, public_key, seen_at FROM trackers WHERE seen_at > $1 ORDER BY id", &[&seen_after.0])?;
    rows.iter().map(tracker).collect()
}

fn tracker(row: &postgres::Row) -> Result<TrackerRow, Trouble> {
    let (Uuid(id), public_key, seen_at): (Uuid, Vec<u8>, i64) = (row.get(0), row.get(1), row.get(2));
    let damaged = |_| Trouble::from(StoreError::Failed("a tracker's key is not 32 bytes".into()));
    Ok(TrackerRow {
        id: TrackerId(id),
        public_key: public_key.try_into().map_err(damaged)?,
        seen_at: UnixMillis(seen_at),
    })
}

pub(super) fn push(session: &mut Session, from: TrackerId, batch: &Batch) -> Result<(), Trouble> {
    let sql = "INSERT INTO swarm_news (tracker, seq, expires_at, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    session.execute(sql, &[&Uuid(from.0), &batch.seq, &batch.expires_at.0, &batch.body])?;
    Ok(())
}

pub(super) fn pull(
    session: &mut Session,
    from: TrackerId,
    seq: i64,
    now: UnixMillis,
    limit: i64,
) -> Result<Vec<Batch>, Trouble> {
    let rows = session.query(
        "SELECT seq, expires_at, body FROM swarm_news WHERE tracker = $1 AND seq > $2 AND expires_at > $3 ORDER BY seq \
         LIMIT $4",
        &[&Uuid(from.0), &seq, &now.0, &limit],
    )?;
    let batch = |row: &postgres::Row| Batch { seq: row.get(0), expires_at: UnixMillis(row.get(1)), body: row.get(2) };
    Ok(rows.iter().map(batch).collect())
}

pub(super) fn forget(session: &mut Session, now: UnixMillis) -> Result<u64, Trouble> {
    session.execute("DELETE FROM swarm_news WHERE expires_at <= $1", &[&now.0])
}
