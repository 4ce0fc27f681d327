//! The tables `trackers` and `swarm_news`: each tracker writes its own batches of lease updates, and the other trackers read them.
//!
//! A tracker writes its batches one after the other, with ascending numbers. So a reader that has read up to a number has missed none
//! before it. Across trackers there is no such order, and none is needed.

use peernet_engine::time::UnixMillis;

use crate::store::replication::{Batch, Replication, TrackerId, TrackerRow};
use crate::store::{Result, StoreError};

use super::PostgresStore;
use super::connection::{Attempt, AttemptError, Session, Uuid};

impl Replication for PostgresStore {
    fn report_running(&self, this: &TrackerRow, seen_after: UnixMillis) -> Result<Vec<TrackerRow>> {
        self.connections.run(|session| report_running(session, this, seen_after))
    }

    fn trackers(&self, seen_after: UnixMillis) -> Result<Vec<TrackerRow>> {
        self.connections.run(|session| trackers(session, seen_after))
    }

    fn push(&self, from: TrackerId, batch: &Batch) -> Result<()> {
        self.connections.run(|session| push(session, from, batch))
    }

    fn pull(&self, from: TrackerId, seq: i64, now: UnixMillis, limit: usize) -> Result<Vec<Batch>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.connections.run(|session| pull(session, from, seq, now, limit))
    }

    fn prune_batches(&self, now: UnixMillis) -> Result<u64> {
        self.connections.run(|session| session.execute("DELETE FROM swarm_news WHERE expires_at <= $1", &[&now.0]))
    }
}

fn report_running(session: &mut Session, this: &TrackerRow, seen_after: UnixMillis) -> Attempt<Vec<TrackerRow>> {
    session.execute(
        "INSERT INTO trackers (id, public_key, seen_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET public_key = \
         EXCLUDED.public_key, seen_at = EXCLUDED.seen_at",
        &[&Uuid(this.id.0), &this.public_key.as_slice(), &this.seen_at.0],
    )?;
    trackers(session, seen_after)
}

fn trackers(session: &mut Session, seen_after: UnixMillis) -> Attempt<Vec<TrackerRow>> {
    let rows = session
        .query("SELECT id, public_key, seen_at FROM trackers WHERE seen_at > $1 ORDER BY id", &[&seen_after.0])?;
    rows.iter().map(tracker).collect()
}

fn tracker(row: &postgres::Row) -> Attempt<TrackerRow> {
    let Uuid(id) = row.get(0);
    let public_key: Vec<u8> = row.get(1);
    let damaged = |_| AttemptError::from(StoreError::Failed("a tracker's key is not 32 bytes".into()));
    Ok(TrackerRow {
        id: TrackerId(id),
        public_key: public_key.try_into().map_err(damaged)?,
        seen_at: UnixMillis(row.get(2)),
    })
}

fn push(session: &mut Session, from: TrackerId, batch: &Batch) -> Attempt<()> {
    let sql = "INSERT INTO swarm_news (tracker, seq, expires_at, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    session.execute(sql, &[&Uuid(from.0), &batch.seq, &batch.expires_at.0, &batch.body])?;
    Ok(())
}

fn pull(session: &mut Session, from: TrackerId, seq: i64, now: UnixMillis, limit: i64) -> Attempt<Vec<Batch>> {
    let rows = session.query(
        "SELECT seq, expires_at, body FROM swarm_news WHERE tracker = $1 AND seq > $2 AND expires_at > $3 ORDER BY seq \
         LIMIT $4",
        &[&Uuid(from.0), &seq, &now.0, &limit],
    )?;
    let batch = |row: &postgres::Row| Batch { seq: row.get(0), expires_at: UnixMillis(row.get(1)), body: row.get(2) };
    Ok(rows.iter().map(batch).collect())
}
