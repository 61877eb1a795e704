//! Opening a store: whose it is, in which format, and what has to be set right first.

use super::Options;
use super::chain::{Chain, Env, lane_dir};
use super::error::{Inner, StoreError, Trouble};
use super::files;
use super::keyed::Keyed;
use super::ledger::{Found, Ledger};
use super::outbox::Store;
use super::pool::Pool;
use super::seal::Sealer;
use super::space::{Purpose, Reserve, with_room};
use crate::core::Lane;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::Path;

/// The format that this program writes. A field that an older reader would misread raises it.
const FORMAT: u32 = 1;

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// The store's id, the first part of every MessageId.
    pub id: [u8; 16],
    /// What an operator should know: repairs, losses. Empty when all was well.
    pub notes: Vec<String>,
}

/// The directories of the databases by name: the state lane's, and the cache.
pub(super) const KEYED: [&str; 2] = ["state", "cache"];

/// The lanes that are queues.
pub(super) const QUEUES: [Lane; 4] = [Lane::Report, Lane::Audit, Lane::Logs, Lane::Metrics];

impl Store {
    /// Opens the store in `options.dir`, or makes it. Damage is set aside, never an error.
    ///
    /// # Errors
    /// `Newer` if a newer arclet wrote it (nothing is touched), `Locked` if another process has it open, `Key` if the key
    /// cannot be used, `Io` if the directory cannot.
    pub fn open(options: Options) -> Result<(Store, OpenReport), StoreError> {
        let root = options.dir.clone();
        let known = read_format(&root)?;
        files::make_dir(&root)?;
        let lock = lock(&root)?;
        let sealer = match &options.key {
            Some(key) => Sealer::new(key)?,
            None => Sealer::from_file(&root.join("store.key"))?,
        };
        let mut fresh = [0; 16];
        getrandom::fill(&mut fresh)
            .map_err(|e| StoreError::Io(format!("no random numbers from the kernel: {e}")))?;
        let (ledger, hints, found) = Ledger::open(&root.join("ledger"), known.unwrap_or(fresh))?;
        let mut env = Env {
            pool: Pool::new(&root)?,
            ledger,
            epoch_bytes: options.epoch_bytes.max(1),
            notes: Vec::new(),
        };
        let books_lost = found == Found::Damaged || (found == Found::Nothing && known.is_some());
        if books_lost {
            env.note(
                "the ledger was damaged: what waits is sent again under the same ids, older losses are forgotten"
                    .to_owned(),
            );
        }
        let reserve = Reserve::new(&root, env.epoch_bytes);
        files::make_dir(&root.join("outbox"))?;
        let mut chains = Vec::with_capacity(QUEUES.len());
        for lane in QUEUES {
            let dir = lane_dir(&root, lane);
            let open =
                |env: &mut Env, _: &mut [Chain]| Chain::open(env, lane, dir.clone(), hints[lane as usize]);
            let chain = with_room(&mut env, &mut chains, &reserve, Purpose::Lane(lane), open)?;
            chains.push(chain);
        }
        if books_lost {
            skip_numbers(&mut env, &mut chains)?;
        }
        let mut keyed = |env: &mut Env, name: &str| -> Inner<Keyed> {
            let dir = root.join(name);
            with_room(env, &mut chains, &reserve, Purpose::Keep, |env, _| Keyed::open(env, dir.clone()))
        };
        let state = keyed(&mut env, KEYED[0])?;
        let cache = keyed(&mut env, KEYED[1])?;
        let newest = state.index.values().map(|doc| doc.tag).max().unwrap_or(0);
        env.ledger.take(Lane::State, newest);
        if found != Found::Whole {
            env.ledger.update_all(|_| ())?;
        }
        if known.is_none() {
            // Last: a store without it is not finished, or has lost it and has its id in the ledger.
            write_format(&root, &env.ledger.id)?;
        }
        reserve.fill();
        env.pool.close_all();
        let mut store = Store { options, env, chains, state, cache, sealer, reserve, _lock: lock };
        store.book_state_loss()?;
        store.purge_delivered_state();
        let report = OpenReport { id: store.id(), notes: store.env.notes.clone() };
        Ok((store, report))
    }
}

/// After the loss of the books no number may be given out twice, and nobody knows which were.
fn skip_numbers(env: &mut Env, chains: &mut [Chain]) -> Inner<()> {
    env.ledger.update_all(|books| books.iter_mut().for_each(|lane| lane.high += SKIP))?;
    for chain in chains {
        // A gap within an epoch would look like a loss.
        chain.appendable = false;
        chain.next = env.ledger.lane(chain.lane).high + 1;
    }
    Ok(())
}

/// More than a device sends in its life.
const SKIP: u64 = 1 << 32;

/// One process at a time: the lock is on the directory itself, and goes with the process.
fn lock(root: &Path) -> Result<File, StoreError> {
    let dir = File::open(root).map_err(|e| Trouble::at(root, "open", &e))?;
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(dir),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(StoreError::Locked(format!("{} is in use by another process", root.display())))
        }
        Err(e) => Err(Trouble::at(root, "lock", &e.into()).into()),
    }
}

/// The id in the format file; `None` if there is none that can be read. Touches nothing.
fn read_format(root: &Path) -> Result<Option<[u8; 16]>, StoreError> {
    let path = root.join(FORMAT_FILE);
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Trouble::at(&path, "read", &e).into()),
    };
    let mut words = text.split_whitespace();
    let format = (words.next() == Some(FORMAT_WORD)).then(|| words.next()?.parse::<u32>().ok()).flatten();
    match format {
        Some(format) if format > FORMAT => Err(StoreError::Newer(format!(
            "{} has format {format}, this arclet knows {FORMAT}: nothing was touched",
            root.display()
        ))),
        Some(_) => Ok(words.next().and_then(id_of)),
        // Damaged: the ledger knows the id, and each epoch's blocks their own format.
        None => Ok(None),
    }
}

fn write_format(root: &Path, id: &[u8; 16]) -> Inner<()> {
    let id: String = id.iter().map(|b| format!("{b:02x}")).collect();
    files::write_whole(&root.join(FORMAT_FILE), format!("{FORMAT_WORD} {FORMAT} {id}\n").as_bytes(), 0o600)
}

fn id_of(hex: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    if hex.len() != 32 || !hex.is_ascii() {
        return None;
    }
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(id)
}

const FORMAT_FILE: &str = "format";
const FORMAT_WORD: &str = "arclet-store";
