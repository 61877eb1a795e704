//! What the service manager is told: ready, status text, watchdog, reloading, stopping (sd_notify(3)).
//!
//! Only the pump calls this, from its own loop: a watchdog message that a timer of its own sent would prove that the timer
//! lives, not the agent. Without NOTIFY_SOCKET nothing is sent. A failed message is not an error: the manager that does
//! not listen is not worth stopping for.

use crate::core::Mono;
use sd_notify::{NotifyState, notify};
use std::time::Duration;

/// The conversation with the service manager.
pub struct Notifier {
    /// Half of WatchdogSec, as sd_watchdog_enabled(3) recommends; `None` when nothing watches.
    every: Option<Duration>,
    /// When the last watchdog message went.
    fed: Mono,
    /// The text that was sent last: the same text twice would only wake the manager.
    text: String,
}

impl Notifier {
    /// Reads what the manager asks for from the environment.
    pub fn new(now: Mono) -> Self {
        Self::with_watchdog(sd_notify::watchdog_enabled(), now)
    }

    fn with_watchdog(watchdog: Option<Duration>, now: Mono) -> Self {
        Notifier { every: watchdog.map(|limit| limit / 2), fed: now, text: String::new() }
    }

    /// Started: the store is open, the socket is there.
    pub fn ready(&self) {
        send(&[NotifyState::Ready]);
    }

    /// A configuration is being read; `reloaded` must follow.
    pub fn reloading(&self) {
        // From systemd 253 on RELOADING without the time is an error.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            send(&[NotifyState::Reloading, now]);
        }
    }

    /// The new configuration, or the old one, is in force.
    pub fn reloaded(&self) {
        send(&[NotifyState::Ready]);
    }

    /// On the way out.
    pub fn stopping(&self) {
        send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// The text that `systemctl status` shows.
    pub fn status(&mut self, text: String) {
        if text != self.text {
            send(&[NotifyState::Status(&text)]);
            self.text = text;
        }
    }

    /// When the watchdog must be fed next.
    pub fn due(&self) -> Option<Mono> {
        self.every.map(|every| self.fed + every)
    }

    /// The pump turned. Feeds the watchdog when half of the way to the next message is over, so that it mostly rides on
    /// wake-ups that other things cause.
    pub fn turned(&mut self, now: Mono) {
        if let Some(every) = self.every
            && now.since(self.fed) >= every / 2
        {
            self.fed = now;
            send(&[NotifyState::Watchdog]);
        }
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        log::debug!("the service manager does not listen: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time() {
        let mut notifier = Notifier::with_watchdog(Some(Duration::from_secs(30)), Mono(1_000));
        assert_eq!(notifier.due(), Some(Mono(16_000)));
        notifier.turned(Mono(8_000));
        assert_eq!(notifier.due(), Some(Mono(16_000)), "too early to be worth a message");
        notifier.turned(Mono(8_500));
        assert_eq!(notifier.due(), Some(Mono(23_500)));
    }

    #[test]
    fn nothing_is_due_when_nothing_watches() {
        let mut notifier = Notifier::with_watchdog(None, Mono(0));
        notifier.turned(Mono(1_000_000));
        assert_eq!(notifier.due(), None);
    }
}
