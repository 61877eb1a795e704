//! The state lane: the latest value of each (stream, key), kept as a document; and what the server refused.
//!
//! A delivered value is gone when the cursor has passed its number; removing its document only saves space.

use super::block;
use super::document::Draft;
use super::error::{Inner, StoreError, Trouble};
use super::keyed::MAX_NAME;
use super::ledger::LaneBooks;
use super::outbox::{MAX_QUARANTINED, Store};
use super::slots::Sync;
use super::space::{Purpose, with_room};
use super::{LaneStats, Quarantined};
use crate::core::{Lane, Record, Seq, Stream};

impl Store {
    /// Puts the newest values; gives the number of the first.
    pub(super) fn put_state(&mut self, records: &[&Record]) -> Result<Seq, StoreError> {
        let first = self.env.ledger.lane(Lane::State).high + 1;
        let contents: Vec<(String, Vec<u8>)> =
            records.iter().map(|r| (name(r.stream as u8, &r.key), block::encode_alone(r))).collect();
        let drafts: Vec<Draft<'_>> = (first..)
            .zip(records)
            .zip(&contents)
            .map(|((seq, record), (name, content))| Draft {
                name,
                content,
                tag: seq,
                wall_ms: record.stamp.wall_ms,
            })
            .collect();
        // Taken even if it fails: what sled did with them is unknown, and a number never means two things.
        self.env.ledger.take(Lane::State, first + records.len() as u64 - 1);
        self.put_docs(&drafts).map_err(|trouble| match trouble {
            Trouble::NoSpace(why) => StoreError::Full { lane: Lane::State, message: why },
            other => other.into(),
        })?;
        Ok(first)
    }

    pub(super) fn read_state(
        &mut self,
        stream: Stream,
        max_records: usize,
        max_bytes: usize,
    ) -> Inner<Vec<(Seq, Record)>> {
        let cursor = self.env.ledger.lane(Lane::State).cursor[stream as usize];
        let prefix = name(stream as u8, "");
        let mut waiting: Vec<(Seq, String)> = self
            .state
            .index
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter(|(_, doc)| doc.tag > cursor)
            .map(|(name, doc)| (doc.tag, name.clone()))
            .collect();
        waiting.sort_unstable();
        let (mut out, mut room): (Vec<(Seq, Record)>, usize) = (Vec::new(), max_bytes);
        for (seq, name) in waiting.into_iter().take(max_records.max(1)) {
            let Store { env, chains, state, reserve, .. } = self;
            let content = with_room(env, chains, reserve, Purpose::Keep, |env, _| state.get(env, &name))?;
            self.book_state_loss()?;
            // Salvage may have brought an older value of the key.
            let same = self.state.index.get(&name).is_some_and(|doc| doc.tag == seq);
            let Some(record) = content.filter(|_| same).as_deref().and_then(block::decode) else { continue };
            if !out.is_empty() && record.body.len() > room {
                break;
            }
            room = room.saturating_sub(record.body.len());
            out.push((seq, record));
        }
        Ok(out)
    }

    /// Counts the values that damage has taken.
    pub(super) fn book_state_loss(&mut self) -> Inner<()> {
        let lost = self.state.lost;
        if lost > 0 {
            self.env.ledger.update(Lane::State, |books| books.lost_damage += lost)?;
            self.state.lost = 0;
        }
        Ok(())
    }

    pub(super) fn pass_state(
        &mut self,
        stream: Stream,
        through: Seq,
        booked: impl FnOnce(&mut LaneBooks),
    ) -> Inner<()> {
        self.env.ledger.update(Lane::State, |books| {
            let cursor = &mut books.cursor[stream as usize];
            *cursor = (*cursor).max(through);
            booked(books);
        })?;
        self.purge_delivered_state();
        Ok(())
    }

    /// Removes documents that the cursor has passed: for space, so without a sync, and a failure can wait.
    pub(super) fn purge_delivered_state(&mut self) {
        let cursor = self.env.ledger.lane(Lane::State).cursor;
        let passed: Vec<String> = self
            .state
            .index
            .iter()
            .filter(|(name, doc)| {
                stream_of(name).is_some_and(|s| cursor.get(usize::from(s)).is_some_and(|c| *c >= doc.tag))
            })
            .map(|(name, _)| name.clone())
            .collect();
        if let Err(e) = self.state.remove(&mut self.env, &passed, Sync::Later) {
            log::debug!("store: {e}");
        }
    }

    pub(super) fn state_stats(&self) -> LaneStats {
        let mut stats = self.counters(Lane::State);
        stats.allocated = self.state.allocated;
        let cursor = self.env.ledger.lane(Lane::State).cursor;
        let mut oldest: Option<(Seq, i64)> = None;
        for (name, doc) in &self.state.index {
            let Some(stream) = stream_of(name) else { continue };
            if cursor.get(usize::from(stream)).is_some_and(|c| *c >= doc.tag) {
                continue;
            }
            stats.records += 1;
            stats.bytes += u64::from(doc.len);
            match stats.per_stream.iter_mut().find(|(s, _)| *s == stream) {
                Some((_, count)) => *count += 1,
                None => stats.per_stream.push((stream, 1)),
            }
            if oldest.is_none_or(|(seq, _)| doc.tag < seq) {
                oldest = Some((doc.tag, doc.wall_ms));
            }
        }
        stats.oldest_wall_ms = oldest.map(|(_, wall)| wall);
        stats
    }

    /// Records that the server refused, oldest first.
    pub fn quarantined(&mut self) -> Vec<Quarantined> {
        let names: Vec<String> = self.refused("").into_iter().map(|(_, name)| name).collect();
        let mut all: Vec<Quarantined> = Vec::new();
        for name in names {
            let content = self.state.get(&mut self.env, &name).ok().flatten();
            all.extend(content.and_then(|bytes| serde_json::from_slice(&bytes).ok()));
        }
        all
    }

    pub(super) fn keep_refused(&mut self, lane: Lane, seq: Seq, refused: &Quarantined) -> Inner<()> {
        let content = serde_json::to_vec(refused).map_err(|e| Trouble::Io(e.to_string()))?;
        let name = format!("{REFUSED}{}/{seq:020}", lane.name());
        self.put_docs(&[Draft { name: &name, content: &content, tag: 0, wall_ms: refused.at_ms }])?;
        let all = self.refused(lane.name());
        let surplus = all.len().saturating_sub(MAX_QUARANTINED);
        let oldest: Vec<String> = all.into_iter().take(surplus).map(|(_, name)| name).collect();
        self.state.remove(&mut self.env, &oldest, Sync::Later)
    }

    /// When they were refused, and the names of their documents, oldest first.
    fn refused(&self, lane: &str) -> Vec<(i64, String)> {
        let prefix = format!("{REFUSED}{lane}");
        let mut all: Vec<(i64, String)> = self
            .state
            .index
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .map(|(name, doc)| (doc.wall_ms, name.clone()))
            .collect();
        all.sort();
        all
    }
}

fn name(stream: u8, key: &str) -> String {
    debug_assert!(key.len() + 5 <= MAX_NAME);
    format!("{VALUE}{stream:02}/{key}")
}

/// The stream of a value's document; `None` for what the server refused.
fn stream_of(name: &str) -> Option<u8> {
    name.strip_prefix(VALUE)?.get(..2)?.parse().ok()
}

const VALUE: &str = "s/";
const REFUSED: &str = "r/";
