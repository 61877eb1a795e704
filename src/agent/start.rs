//! From the command line to a running pump, in the order in which things may fail.

use super::ack_log::AckLog;
use super::calls::Calls;
use super::clients::{self, Clients};
use super::control;
use super::desired::Documents;
use super::notify::Notifier;
use super::publish::Publisher;
use super::pump::{DOCUMENT_TIME, DOCUMENT_TOKENS, Parts, Pump, Reloaded, answer, backlog};
use super::signals;
use super::status::Fixed;
use super::tokens::Tokens;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::core::port::DOCUMENTS;
use crate::core::{Backlog, Core, Now, Random, Reason, Restored};
use crate::store::{self, Handle};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--config`.
    pub config: PathBuf,
    /// `--ack-log`: a descriptor number.
    pub ack_log: Option<u32>,
}

/// Why the agent could not start. Once it runs, nothing but a signal ends it.
#[derive(Clone, Debug)]
pub enum Failed {
    /// The configuration or the command line.
    Config(Reason),
    /// The store could not be opened, or is of a newer format.
    Store(Reason),
    /// The machine: no runtime, no place for the socket, or another agent runs.
    Machine(Reason),
}

impl Failed {
    /// Why, and the cure.
    pub fn reason(&self) -> &Reason {
        match self {
            Failed::Config(reason) | Failed::Store(reason) | Failed::Machine(reason) => reason,
        }
    }
}

/// Runs until a signal ends it.
pub fn run(options: &Options) -> Result<(), Failed> {
    let config = Config::load(&options.config).map_err(|errors| Failed::Config(errors.into()))?;
    let ack_log = options.ack_log.map(AckLog::inherited).transpose().map_err(Failed::Config)?;
    crate::log::init(config.log.level, crate::log::to_journal());
    log_panics();
    no_core();
    log::info!("arclet {VERSION} starts for {}", config.cluster.id);
    let machine = |what: &str, error| Failed::Machine(Reason::new("Machine", format!("no {what}: {error}")));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| machine("runtime", error))?;
    let ended = runtime.block_on(async {
        let signals = signals::listen().map_err(|error| machine("signal handlers", error))?;
        // Before the store: a second agent must not come near it.
        let listener = control::bind(&config.control.socket).map_err(Failed::Machine)?;
        let _unlink = control::Unlink(config.control.socket.clone());
        let parts = open(&config, ack_log).await?;
        let (send, questions) = mpsc::channel(QUESTIONS);
        tokio::spawn(control::serve(listener, send));
        let reload = reloader(options.config.clone(), config, parts.clock.clone(), parts.fixed.started);
        Pump::new(parts).run(signals, questions, reload).await;
        log::info!("stopped");
        Ok(())
    });
    // Whoever still talks to the control socket, or waits for a stalled call, is left behind.
    runtime.shutdown_background();
    ended
}

/// Opens the store and puts back what was remembered.
async fn open(config: &Config, ack_log: Option<AckLog>) -> Result<Parts, Failed> {
    let clock = Clock::new();
    let store = open_store(config)?;
    let document = async |name: &str| match answer(store.doc_get(name.to_owned())).await {
        Ok(content) => content,
        Err(reason) => {
            log::warn!("{name} is lost: {reason}");
            None
        }
    };
    let time = document(DOCUMENT_TIME).await.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
    if let Some(ms) = time {
        clock.set_floor(ms);
    }
    let mut documents = Vec::new();
    for name in DOCUMENTS {
        if let Some(content) = document(name).await {
            documents.push((name.to_owned(), content));
        }
    }
    let tokens = Tokens::restore(document(DOCUMENT_TOKENS).await, clients::account(config), clock.clone());
    let calls: Arc<dyn Calls> = Arc::new(Clients::new(config, clock.clone()));
    let stats = answer(store.stats()).await.unwrap_or_default();
    let losses = answer(store.unreported_losses()).await.unwrap_or_default();
    let documents_of_azure = Documents::restore(store.clone(), config.desired.kinds(), calls.as_ref()).await;
    let me = me(&store, document(DOCUMENT_NODE).await).await;
    let restored = Restored {
        me,
        desired: documents_of_azure.heads(),
        boot: clock.boot(),
        documents,
        tokens: tokens.validities(),
        backlog: Backlog { waiting: backlog(&stats), losses },
        anchor: None,
    };
    let now = clock.now();
    let mut rng: Box<dyn Random> = Box::new(SystemRandom(clock.clone()));
    let core = Core::new(config.settings(VERSION), restored, now, rng.as_mut());
    Ok(Parts {
        core,
        rng,
        calls,
        documents: Arc::new(documents_of_azure),
        store,
        tokens,
        fixed: fixed(config, now),
        publisher: Publisher::new(config.control.status_file.clone()),
        notifier: Notifier::new(now.mono),
        ack_log,
        clock,
    })
}

/// What this device is called in the cluster's Lease: its host name, for people, and a number that no copy of the name has.
async fn me(store: &Handle, kept: Option<Vec<u8>>) -> String {
    let number = match kept.and_then(|kept| String::from_utf8(kept).ok()).filter(|kept| !kept.is_empty()) {
        Some(number) => number,
        None => {
            let drawn = getrandom::u64().ok().zip(getrandom::u64().ok());
            let number =
                drawn.map_or_else(|| std::process::id().to_string(), |(a, b)| format!("{a:016x}{b:016x}"));
            let kept = store.doc_put(DOCUMENT_NODE.to_owned(), number.clone().into_bytes(), false);
            if let Err(reason) = answer(kept).await {
                log::warn!("the device's name in the Lease cannot be kept: {reason}");
            }
            number
        }
    };
    format!("{}_{number}", rustix::system::uname().nodename().to_string_lossy())
}

fn open_store(config: &Config) -> Result<Handle, Failed> {
    let key = config.store.key.as_ref().map(|file| {
        let bytes = file.read().map_err(Reason::from)?;
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
            let path = file.location().display();
            Reason::new("StoreKey", format!("{path} has {} bytes, a key has 32", bytes.len()))
                .cure(format!("head -c 32 /dev/urandom > {path}; what was sealed with another key is lost"))
        })?;
        Ok(Box::new(key))
    });
    let options = store::Options {
        dir: config.store.directory.clone(),
        quotas: config.store.quotas,
        cache_quota: config.store.cache_quota,
        key: key.transpose().map_err(Failed::Config)?,
        epoch_bytes: config.store.epoch_size,
    };
    Handle::spawn(options).map(|(store, _)| store).map_err(|error| Failed::Store(error.into()))
}

/// Reads the configuration again on each call, and compares it with the last good one.
fn reloader(
    path: PathBuf,
    mut current: Config,
    clock: Clock,
    started: Now,
) -> impl FnMut() -> Result<Reloaded, Reason> {
    move || {
        let next = Config::load(&path)?;
        crate::log::set_level(next.log.level);
        let needs_restart = [
            ("[store]", next.store != current.store),
            ("[control]", next.control != current.control),
            ("[cluster] id", next.cluster.id != current.cluster.id),
            ("[desired] gitops", next.desired.gitops != current.desired.gitops),
            ("[desired] extensions", next.desired.extensions != current.desired.extensions),
            ("[desired] key-vault", vault(&next) != vault(&current)),
        ];
        // What takes a restart stays as it runs, and is compared with that until then.
        let next = Config {
            store: current.store.clone(),
            control: current.control.clone(),
            cluster: current.cluster.clone(),
            desired: config::Desired {
                gitops: current.desired.gitops,
                extensions: current.desired.extensions,
                key_vault: current.desired.key_vault.clone(),
                key_vault_prefix: current.desired.key_vault_prefix.clone(),
                ..next.desired
            },
            ..next
        };
        let reloaded = Reloaded {
            settings: next.settings(VERSION),
            calls: Arc::new(Clients::new(&next, clock.clone())),
            fixed: fixed(&next, started),
            account: clients::account(&next),
            needs_restart: needs_restart
                .into_iter()
                .filter(|(_, changed)| *changed)
                .map(|(k, _)| k)
                .collect(),
        };
        current = next;
        Ok(reloaded)
    }
}

/// What the secrets of documents are called, and where they are: what each document needs follows from it at the start.
fn vault(config: &Config) -> (Option<&str>, &str) {
    (config.desired.key_vault.as_deref(), &config.desired.key_vault_prefix)
}

fn fixed(config: &Config, started: Now) -> Fixed {
    Fixed {
        started,
        cluster: config.cluster.id.to_string(),
        hosts: clients::hosts(config),
        quotas: config.store.quotas,
        // The first look at the store brings those of its opening.
        store_notes: Vec::new(),
    }
}

/// Panics are caught where they can happen; where they happened is worth an error line with the right priority.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let message = super::workers::message(info.payload());
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log::error!("a bug in thread {}: {message} ({place})", thread.name().unwrap_or("?"));
    }));
}

/// A core dump would hold whatever secret is in memory then. The limit is for cores that are files; programs that the kernel
/// hands them to heed the other.
fn no_core() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) =
        setrlimit(Resource::Core, none).and(set_dumpable_behavior(DumpableBehavior::NotDumpable))
    {
        log::warn!("core dumps cannot be ruled out: {error}");
    }
}

/// The kernel's random numbers: a jitter that two devices of a fleet share would be none.
struct SystemRandom(Clock);

impl Random for SystemRandom {
    fn next_u64(&mut self) -> u64 {
        // Without the system call there is nothing better than the time since boot.
        getrandom::u64().unwrap_or_else(|_| self.0.now().mono.0.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// What distinguishes this device from others of its host name.
const DOCUMENT_NODE: &str = "agent/node";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Questions of the control socket that wait for the pump.
const QUESTIONS: usize = 4;
