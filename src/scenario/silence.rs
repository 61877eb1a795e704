//! Who watches for silence: how long Azure has heard nothing, and why.
//!
//! Heartbeats live in the state lane, so that offline only the latest is kept. Silence is told afterwards: when a
//! heartbeat is delivered and the one before was delivered too long ago, one gap report says from when to when and why.
//! The time of the last contact is remembered across restarts, and moves on only when the gap report is durable.

use super::clock::Anchors;
use super::heartbeat::cut;
use crate::core::{ClockState, Now, Reason, Stamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When Azure last heard of this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Contact {
    v: u32,
    boot: [u8; 16],
    mono_ms: u64,
    /// Corrected where the clock was wrong.
    time_ms: i64,
    /// Whether `time_ms` can be trusted.
    trusted: bool,
    /// Why the silence since then began, as far as it was seen.
    why: Option<(String, String)>,
}

/// A time of silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    /// Heartbeats that would have been due; unknown if it was off for nobody knows how long.
    pub(super) missed: Option<u64>,
    /// A stable word and one sentence.
    pub(super) why: (String, String),
}

/// Who watches for silence.
#[derive(Clone, Debug, Default)]
pub struct Silence {
    last: Option<Contact>,
    /// Told, and the contact that ended it.
    gap: Option<(Gap, Contact)>,
    unsaved: bool,
}

impl Silence {
    /// As it was remembered.
    pub fn restore(content: Option<&[u8]>) -> Silence {
        let last = content.and_then(|c| serde_json::from_slice::<Contact>(c).ok()).filter(|c| c.v == VERSION);
        Silence { last, ..Silence::default() }
    }

    /// Whether the last contact was in another boot than this.
    pub fn rebooted(&self, boot: &[u8; 16]) -> bool {
        self.last.as_ref().is_some_and(|last| last.boot != *boot)
    }

    /// The link went down for this reason: the first one of a silence is the one that is told.
    pub fn link_lost(&mut self, reason: &Reason) {
        if let Some(last) = &mut self.last
            && last.why.is_none()
        {
            last.why = Some((cut(&reason.code).to_owned(), cut(&reason.message).to_owned()));
        }
    }

    /// A heartbeat has come due while the one before was not delivered: what is known of the silence is worth keeping.
    pub fn heartbeat_missed(&mut self) {
        self.unsaved |= self.last.as_ref().is_some_and(|l| l.why.is_some());
    }

    /// A heartbeat was delivered.
    pub fn contact(&mut self, now: Now, boot: [u8; 16], anchors: &Anchors, interval: Duration) {
        let stamp =
            Stamp { boot, mono_ms: now.mono.0, wall_ms: now.wall_ms, clock: anchors.judge(&boot, now) };
        let (time_ms, state) = anchors.correct(&stamp);
        let trusted = matches!(state, ClockState::Synced | ClockState::Corrected);
        let contact = Contact { v: VERSION, boot, mono_ms: now.mono.0, time_ms, trusted, why: None };
        // A gap that is not durable yet goes on to this contact, if it has to be told again.
        let from = self.last.as_ref();
        match from.and_then(|from| gap(from, &contact, interval)) {
            Some(gap) if self.gap.is_none() => self.gap = Some((gap, contact)),
            _ if self.gap.is_some() => {
                if let Some((_, end)) = &mut self.gap {
                    *end = contact;
                }
            }
            _ => {
                self.last = Some(contact);
                self.unsaved = true;
            }
        }
    }

    /// The gap that is to be told, as a report.
    pub fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref().map(|(gap, _)| gap)
    }

    /// The report is durable.
    pub fn told(&mut self) {
        if let Some((_, end)) = self.gap.take() {
            self.last = Some(end);
            self.unsaved = true;
        }
    }

    /// The document to remember, if it has changed.
    pub fn document(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.unsaved) {
            return None;
        }
        self.last.as_ref().and_then(|last| serde_json::to_vec(last).ok())
    }
}

/// The silence between two contacts, if it is one.
fn gap(from: &Contact, to: &Contact, interval: Duration) -> Option<Gap> {
    let lasted = if from.boot == to.boot {
        Some(Duration::from_millis(to.mono_ms.saturating_sub(from.mono_ms)))
    } else if from.trusted && to.trusted {
        Some(Duration::from_millis(to.time_ms.saturating_sub(from.time_ms).max(0) as u64))
    } else {
        None // it was off for nobody knows how long
    };
    if lasted.is_some_and(|lasted| lasted < interval * 5 / 2) {
        return None;
    }
    let why = from.why.clone().unwrap_or_else(|| {
        if from.boot == to.boot {
            ("Unknown".into(), "no heartbeat was delivered; the reason was not seen".into())
        } else {
            ("Restarted".into(), "the device was off or restarted".into())
        }
    });
    // Within a boot its own clock measures better than the wall clock, which may have jumped between the two.
    let from_ms = match lasted {
        Some(lasted) if from.boot == to.boot && to.trusted => to.time_ms - lasted.as_millis() as i64,
        _ => from.time_ms,
    };
    let missed = lasted
        .map(|lasted| (lasted.as_millis() / interval.as_millis().max(1)).saturating_sub(1).max(1) as u64);
    Some(Gap { from_ms, to_ms: to.time_ms, missed, why })
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::super::clock::Anchor;
    use super::*;
    use crate::core::testing::at;

    const BOOT: [u8; 16] = [1; 16];
    const FIVE: Duration = Duration::from_secs(300);

    fn anchors() -> Anchors {
        let mut anchors = Anchors::default();
        anchors.learn(Anchor { boot: BOOT, epoch_ms: 1_790_000_000_000 });
        anchors
    }

    fn reason() -> Reason {
        Reason::new("ConnectionRefused", "nobody listens")
    }

    #[test]
    fn a_late_heartbeat_is_no_gap_and_two_missed_ones_are() {
        for (seconds, gap) in [(300, false), (749, false), (750, true)] {
            let mut silence = Silence::default();
            silence.contact(at(0), BOOT, &anchors(), FIVE);
            silence.contact(at(seconds), BOOT, &anchors(), FIVE);
            assert_eq!(silence.gap().is_some(), gap, "{seconds}");
        }
    }

    #[test]
    fn the_contact_moves_on_only_when_the_gap_report_is_durable() {
        let mut silence = Silence::default();
        silence.contact(at(0), BOOT, &anchors(), FIVE);
        let before = silence.document().unwrap();
        silence.link_lost(&reason());
        silence.contact(at(7_200), BOOT, &anchors(), FIVE);
        assert_eq!(silence.document(), None);
        // Killed here: the gap is found again, without its reason, which was not seen long enough to be remembered.
        let mut again = Silence::restore(Some(&before));
        again.contact(at(7_260), BOOT, &anchors(), FIVE);
        assert!(again.gap().is_some());

        assert_eq!(silence.gap().unwrap().why.0, "ConnectionRefused");
        silence.told();
        assert!(silence.gap().is_none());
        assert!(silence.document().is_some_and(|d| d != before));
    }

    #[test]
    fn a_document_of_another_version_is_as_good_as_none() {
        let document =
            |v| format!(r#"{{"v":{v},"boot":{BOOT:?},"mono_ms":1,"time_ms":2,"trusted":true,"why":null}}"#);
        assert!(Silence::restore(Some(document(1).as_bytes())).last.is_some());
        assert!(Silence::restore(Some(document(2).as_bytes())).last.is_none());
        assert!(Silence::restore(Some(b"nonsense")).last.is_none());
    }
}
