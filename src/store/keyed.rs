//! Documents by name, the latest of each: the cache, and the state lane.
//!
//! A database of its own, so that it survives the outbox's damage and the outbox its. A document is cut into chunks below
//! sled's blob limit, and exists when its manifest does, which is written last. What was replaced stays in sled's log;
//! when that garbage passes a bound, everything is written anew into another directory that then takes the place.
//! What this file does not know: what a document means, and whether it is sealed.

use super::bytes::{Put, Take};
use super::chain::Env;
use super::document::{self, Doc, Draft, MANIFEST, chunk_key, document, manifest_key, read};
use super::error::{Inner, Trouble};
use super::files;
use super::frame::{Frame, Kind, frame};
use super::slots::{Slots, Sync, open_file};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The longest name.
pub(super) const MAX_NAME: usize = 200;

/// Documents by name.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) dir: PathBuf,
    /// The database in use, 0 before the first document.
    pub(super) number: u32,
    pub(super) index: BTreeMap<String, Doc>,
    /// Bytes of all contents in the index: it is asked for with every change, and there may be ten thousand of them.
    live: u64,
    generation: u64,
    pub(super) allocated: u64,
    /// Documents that damage has taken, until somebody books them.
    pub(super) lost: u64,
}

impl Keyed {
    /// Nothing yet; `salvage` has the opening.
    pub(super) fn empty(dir: PathBuf, number: u32) -> Keyed {
        Keyed { dir, number, index: BTreeMap::new(), live: 0, generation: 0, allocated: 0, lost: 0 }
    }

    /// Keeps documents, all of them durably with one sync, or says why not. Older ones of the same names go.
    pub(super) fn put(&mut self, env: &mut Env, drafts: &[Draft<'_>]) -> Inner<()> {
        match self.try_put(env, drafts) {
            Err(Trouble::Damaged(why)) => {
                self.salvage(env, &why)?;
                self.try_put(env, drafts)
            }
            done => done,
        }
    }

    fn try_put(&mut self, env: &mut Env, drafts: &[Draft<'_>]) -> Inner<()> {
        self.make_writable(env)?;
        let path = self.path();
        let mut docs = Vec::new();
        for draft in drafts {
            self.generation += 1;
            docs.push((draft.name.to_owned(), document::write(env, &path, self.generation, draft)?));
        }
        let db = env.pool.get(&path)?;
        db.sync()?;
        self.allocated = self.allocated.max(db.log_allocated());
        let mut old = Vec::new();
        for (name, doc) in docs {
            old.extend(self.enter(name, doc));
        }
        self.forget_chunks(env, &old);
        self.leave_hint();
        self.compact_if_worth(env);
        env.pool.relax(&self.path());
        Ok(())
    }

    /// A document's content; `None` if there is none.
    pub(super) fn get(&mut self, env: &mut Env, name: &str) -> Inner<Option<Vec<u8>>> {
        let found = self.find(env, name);
        env.pool.relax(&self.path());
        found
    }

    fn find(&mut self, env: &mut Env, name: &str) -> Inner<Option<Vec<u8>>> {
        let Some(doc) = self.index.get(name).cloned() else { return Ok(None) };
        match read(env, &self.path(), name, &doc) {
            Err(Trouble::Damaged(why)) => {
                self.salvage(env, &why)?;
                let Some(doc) = self.index.get(name).cloned() else { return Ok(None) };
                read(env, &self.path(), name, &doc).map(Some)
            }
            other => other.map(Some),
        }
    }

    /// Removes documents; those that are not there do not matter. `sync` says whether it has to be durable now.
    pub(super) fn remove(&mut self, env: &mut Env, names: &[String], sync: Sync) -> Inner<()> {
        let gone: Vec<(&String, Doc)> =
            names.iter().filter_map(|name| Some((name, self.index.get(name)?.clone()))).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.make_writable(env)?;
        let path = self.path();
        for (name, _) in &gone {
            self.generation += 1;
            let key = manifest_key(name);
            env.pool.get(&path)?.insert(&key, &frame(Kind::Gone, self.generation, &key, &[]))?;
        }
        let docs: Vec<Doc> = gone.iter().map(|(_, doc)| doc.clone()).collect();
        self.forget_chunks(env, &docs);
        if sync == Sync::Now {
            env.pool.get(&path)?.sync()?;
        }
        for (name, _) in &gone {
            let gone = self.index.remove(*name);
            self.live -= gone.map_or(0, |doc| u64::from(doc.len));
        }
        if sync == Sync::Now {
            self.leave_hint();
        }
        self.compact_if_worth(env);
        Ok(())
    }

    /// Bytes of all contents.
    pub(super) fn live(&self) -> u64 {
        debug_assert_eq!(self.live, self.index.values().map(|doc| u64::from(doc.len)).sum::<u64>());
        self.live
    }

    /// Puts a document into the index; returns the one whose place it takes.
    fn enter(&mut self, name: String, doc: Doc) -> Option<Doc> {
        self.live += u64::from(doc.len);
        let old = self.index.insert(name, doc);
        self.live -= old.as_ref().map_or(0, |old| u64::from(old.len));
        old
    }

    /// The directory of the database in use.
    pub(super) fn path(&self) -> PathBuf {
        database_path(&self.dir, self.number)
    }

    /// Writes everything anew if what the medium holds is mostly garbage. Failing, on a full disk say, costs nothing but
    /// the try: the old one stays.
    fn compact_if_worth(&mut self, env: &mut Env) {
        if self.allocated < COMPACT_ABOVE + 3 * self.live() {
            return;
        }
        if let Err(e) = self.compact(env) {
            log::info!("store: {} is not compacted: {e}", self.dir.display());
        }
    }

    /// Writes everything anew.
    pub(super) fn compact(&mut self, env: &mut Env) -> Inner<()> {
        let old = self.path();
        let mut next = Keyed::empty(self.dir.clone(), self.number + 1);
        (next.generation, next.lost) = (self.generation, self.lost);
        let names: Vec<String> = self.index.keys().cloned().collect();
        let build = |env: &mut Env, next: &mut Keyed| {
            next.begin(env)?;
            for name in &names {
                let Some(doc) = self.index.get(name) else { continue };
                let content = read(env, &old, name, doc)?;
                env.pool.relax(&old);
                next.restore(env, name, &content, doc)?;
            }
            next.take_place(env)
        };
        if let Err(e) = build(env, &mut next) {
            next.abandon(env);
            return Err(e);
        }
        env.pool.forget(&old);
        *self = next;
        files::discard(&old)
    }

    /// Makes the directory of a database that is not in use yet.
    pub(super) fn begin(&mut self, env: &mut Env) -> Inner<()> {
        let draft = draft_path(&self.dir, self.number);
        env.pool.forget(&draft);
        let _ = std::fs::remove_dir_all(&draft);
        files::make_dir(&draft)?;
        env.pool.get(&draft).map(|_| ())
    }

    /// Puts a document into a database that is not in use yet.
    pub(super) fn restore(&mut self, env: &mut Env, name: &str, content: &[u8], doc: &Doc) -> Inner<()> {
        self.generation += 1;
        let draft = Draft { name, content, tag: doc.tag, wall_ms: doc.wall_ms };
        let doc = document::write(env, &draft_path(&self.dir, self.number), self.generation, &draft)?;
        self.enter(name.to_owned(), doc);
        env.pool.relax(&draft_path(&self.dir, self.number));
        Ok(())
    }

    /// Makes it durable and the one in use: the highest number is.
    pub(super) fn take_place(&mut self, env: &mut Env) -> Inner<()> {
        let draft = draft_path(&self.dir, self.number);
        env.pool.get(&draft)?.sync()?;
        env.pool.forget(&draft);
        let path = self.path();
        std::fs::rename(&draft, &path).map_err(|e| Trouble::at(&draft, "rename", &e))?;
        files::sync_dir(&self.dir)?;
        env.pool.forget(&path);
        self.leave_hint();
        self.allocated = files::allocated(&path);
        Ok(())
    }

    /// Removes a database that did not become the one in use.
    pub(super) fn abandon(&self, env: &mut Env) {
        let draft = draft_path(&self.dir, self.number);
        env.pool.forget(&draft);
        let _ = std::fs::remove_dir_all(&draft);
    }

    /// Reads what there is from an open database. `Damaged` if it is less than its hint says.
    pub(super) fn load(&mut self, env: &mut Env) -> Inner<()> {
        let path = self.path();
        let mut index = BTreeMap::new();
        let (mut newest, mut bad) = (0, false);
        env.pool.get(&path)?.visit(MANIFEST, |key, value| {
            if !key.starts_with(MANIFEST) {
                return ControlFlow::Break(());
            }
            match Frame::parse(value).filter(|f| f.key == key) {
                Some(frame) => {
                    newest = newest.max(frame.generation);
                    if let Some((name, doc)) = document(&frame) {
                        index.insert(name, doc);
                    }
                }
                None => bad = true,
            }
            ControlFlow::Continue(())
        })?;
        let hint = hint(&path);
        if bad || hint.is_some_and(|(generation, _)| generation > newest) {
            return Err(Trouble::Damaged(format!("{}: documents are missing", path.display())));
        }
        self.live = index.values().map(|doc| u64::from(doc.len)).sum();
        self.index = index;
        self.generation = newest.max(hint.map_or(0, |(generation, _)| generation));
        self.allocated = files::allocated(&path);
        Ok(())
    }

    fn make_writable(&mut self, env: &mut Env) -> Inner<()> {
        if self.number == 0 {
            let mut first = Keyed::empty(self.dir.clone(), 1);
            if let Err(e) = first.begin(env).and_then(|()| first.take_place(env)) {
                first.abandon(env);
                return Err(e);
            }
            *self = first;
        }
        Ok(())
    }

    /// Chunks of replaced documents; what a crash leaves of them is garbage until the next compaction.
    fn forget_chunks(&self, env: &mut Env, old: &[Doc]) {
        let path = self.path();
        for doc in old {
            for chunk in 0..doc.chunks {
                let removed = env.pool.get(&path).and_then(|db| db.remove(&chunk_key(doc.generation, chunk)));
                if let Err(e) = removed {
                    log::debug!("store: {e}");
                    return;
                }
            }
        }
    }

    fn leave_hint(&self) {
        let path = self.path().join(HINT);
        let mut payload = Vec::new();
        payload.u64(self.generation);
        payload.u64(self.index.len() as u64);
        let written = open_file(&path, 2 * HINT_SLOT)
            .and_then(|(file, _)| Slots::at(file, &path, 0, HINT_SLOT).0.write(&payload, Sync::Later));
        if let Err(e) = written {
            log::debug!("store: no hint: {e}");
        }
    }
}

/// The generation and the number of documents at the last commit, as far as the hint survived.
pub(super) fn hint(path: &Path) -> Option<(u64, u64)> {
    let path = path.join(HINT);
    let file = std::fs::File::open(&path).ok()?;
    let (_, payload) = Slots::at(file.into(), &path, 0, HINT_SLOT);
    let payload = payload?;
    let mut take = Take(&payload);
    Some((take.u64()?, take.u64()?))
}

/// The directory of a database in use.
pub(super) fn database_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("k{number:08x}"))
}

/// The directory of one that is being made.
pub(super) fn draft_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("new{number:08x}"))
}

/// Garbage below this is not worth a rewrite.
const COMPACT_ABOVE: u64 = 2 << 20;
const HINT: &str = "hint";
const HINT_SLOT: usize = 256;
