//! Opening the keyed databases (cache, state lane) whatever state they are in.
//!
//! Before sled opens one for the first time in a process its log is copied aside, unsynced: the copy is removed again
//! before it reaches the medium if all is well, and is what salvage reads if sled makes things worse.

use super::chain::Env;
use super::database::DB;
use super::document::{self, Doc};
use super::error::{Inner, Trouble};
use super::files;
use super::frame::{self, Frame, Kind, MAX_FRAME};
use super::keyed::{self, Keyed};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

impl Keyed {
    /// Opens the documents in `dir`.
    pub(super) fn open(env: &mut Env, dir: PathBuf) -> Inner<Keyed> {
        files::make_dir(&dir)?;
        files::empty_trash(&dir);
        let number = in_use(&dir);
        let mut this = Keyed::empty(dir, number);
        if number == 0 {
            return Ok(this);
        }
        let path = this.path();
        let copy = this.dir.join(BEFORE);
        // A copy from a start that did not end is older evidence than the file: keep that one.
        if !copy.exists() && std::fs::copy(path.join(DB), &copy).is_err() {
            let _ = std::fs::remove_file(&copy);
        }
        match this.load(env) {
            Err(Trouble::Damaged(why)) => this.salvage(env, &why)?,
            other => other?,
        }
        let _ = std::fs::remove_file(&copy);
        Ok(this)
    }

    /// Sets the database aside, and makes a new one of all documents that its raw bytes still hold. How many are gone is
    /// added to `lost`, as far as anybody knows.
    pub(super) fn salvage(&mut self, env: &mut Env, why: &str) -> Inner<()> {
        let old = self.path();
        env.pool.close(&old);
        let expected = keyed::hint(&old).map_or(self.index.len() as u64, |(_, count)| count);
        let copy = self.dir.join(BEFORE);
        let source = if copy.exists() { copy.clone() } else { old.join(DB) };
        let (docs, frames) = survey(&source)?;
        let mut next = Keyed::empty(self.dir.clone(), self.number + 1);
        let build = |env: &mut Env, next: &mut Keyed| {
            next.begin(env)?;
            let Ok(file) = File::open(&source) else { return next.take_place(env) };
            for (name, doc) in &docs {
                let content = doc.assemble(name, |key| {
                    let (_, offset, len) = frames.get(key)?;
                    let mut bytes = vec![0; *len];
                    file.read_exact_at(&mut bytes, *offset).ok()?;
                    Some(bytes)
                });
                if let Some(content) = content {
                    next.restore(env, name, &content, doc)?;
                }
            }
            next.take_place(env)
        };
        if let Err(e) = build(env, &mut next) {
            next.abandon(env);
            return Err(e);
        }
        env.pool.forget(&old);
        files::set_aside(&old, 1)?;
        let _ = std::fs::remove_file(&copy);
        next.lost = self.lost;
        *self = next;
        let (saved, lost) = (self.index.len(), expected.saturating_sub(self.index.len() as u64));
        self.lost += lost;
        env.note(format!("{} was not whole ({why}): {saved} documents saved, {lost} lost", old.display()));
        Ok(())
    }
}

/// The highest number is in use; what else is there is an interrupted rewrite.
fn in_use(dir: &Path) -> u32 {
    let mut numbers: Vec<u32> =
        files::names(dir).iter().filter_map(|n| super::epoch::number(n, "k")).collect();
    numbers.sort_unstable();
    let newest = numbers.pop().unwrap_or(0);
    for old in numbers {
        let _ = files::discard(&keyed::database_path(dir, old));
    }
    for name in files::names(dir).iter().filter(|n| n.starts_with("new")) {
        let _ = std::fs::remove_dir_all(dir.join(name));
    }
    newest
}

type Places = BTreeMap<Vec<u8>, (u64, u64, usize)>;

/// The newest version of a manifest that was found, and what it says.
type Newest = (u64, Option<(String, Doc)>);

/// Finds all documents whose manifest can still be read, and where the newest frame of each key is.
fn survey(log: &Path) -> Inner<(Vec<(String, Doc)>, Places)> {
    let mut places = Places::new();
    let mut manifests: BTreeMap<Vec<u8>, Newest> = BTreeMap::new();
    let mut file = match File::open(log) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), places)),
        Err(e) => return Err(Trouble::at(log, "open", &e)),
    };
    let mut window = vec![0; 64 * MAX_FRAME];
    let (mut have, mut base) = (0, 0u64);
    loop {
        // What cannot be read ends the survey: the rest is lost with it.
        let read = file.read(&mut window[have..]).unwrap_or(0);
        have += read;
        let done = frame::scan(&window[..have], read == 0, |at, frame: Frame<'_>| {
            let newer = places.get(frame.key).is_none_or(|(known, ..)| frame.generation >= *known);
            if newer {
                places.insert(frame.key.to_vec(), (frame.generation, base + at as u64, frame.len));
                if frame.kind != Kind::Chunk {
                    manifests.insert(frame.key.to_vec(), (frame.generation, document::document(&frame)));
                }
            }
        });
        if read == 0 {
            break;
        }
        window.copy_within(done..have, 0);
        have -= done;
        base += done as u64;
    }
    Ok((manifests.into_values().filter_map(|(_, doc)| doc).collect(), places))
}

/// The copy of the log.
const BEFORE: &str = "before";
