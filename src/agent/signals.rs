//! Which signals the agent listens to, and what they ask for.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT: make everything durable and go.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Installs the handlers; what is asked for comes out of the channel. Must be called within the runtime.
pub fn listen() -> std::io::Result<mpsc::Receiver<Asked>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // One place: signals of a kind that come while nobody listens are merged by the kernel and by tokio anyway.
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let asked = tokio::select! {
                biased;
                _ = terminate.recv() => Asked::Stop,
                _ = interrupt.recv() => Asked::Stop,
                _ = hangup.recv() => Asked::Reload,
            };
            if send.send(asked).await.is_err() {
                return;
            }
        }
    });
    Ok(receive)
}
