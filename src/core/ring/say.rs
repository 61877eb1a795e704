//! What is put into the store: heartbeats, reports, what must be remembered; and what its answers mean.

use super::*;
use crate::core::port::Backlog;
use crate::core::reports::{Answered, Carried, Refusal};
use crate::core::{Lane, Loss, Reason, Record, Seq, Stamp, Stream};
use crate::scenario::{configuration, flux, heartbeat, metadata, upgrade};

impl Core {
    /// The next thing for the store. Heartbeats first: they are what Azure waits for.
    pub(super) fn tell_store(&mut self, now: Now) -> Option<Action> {
        if let Some(action) = self.outbox.tell() {
            return Some(action);
        }
        if self.heartbeat_due && self.reports.state.free() {
            self.heartbeat_due = false;
            let role = Some(self.lease.state(now.mono)).filter(|_| self.lease.is_shared());
            let uptime = now.mono.since(self.started);
            let body = heartbeat::heartbeat(&self.settings.agent_version, uptime, role);
            let record = self.record(now, Stream::Heartbeat, heartbeat::KEY, body);
            let ticket = self.reports.heartbeat_goes();
            return Some(Action::Enqueue { ticket, records: vec![(Lane::State, record)] });
        }
        if self.reports.report.free()
            && let Some(action) = self.enqueue_reports(now)
        {
            return Some(action);
        }
        if !self.marks.is_empty() && !self.reports.marking && !self.marks_blocked {
            self.reports.marking = true;
            return Some(Action::ReportedLosses { losses: self.marks.clone() });
        }
        if self.remembering.is_none() && !self.memory_blocked {
            let (name, content) = self.memory.pop_first()?;
            self.remembering = Some((name, content.clone()));
            return Some(Action::Remember { name, content });
        }
        None
    }

    /// Everything that waits to be said, with one sync.
    fn enqueue_reports(&mut self, now: Now) -> Option<Action> {
        let mut carried = Carried::default();
        let mut records = Vec::new();
        if let Some(gap) = self.silence.gap() {
            records.push(self.record(now, Stream::Heartbeat, "gap", heartbeat::gap(gap)));
            carried.gap = true;
        }
        if self.marks.is_empty() {
            for loss in self.reports.losses() {
                let body = heartbeat::loss(loss.lane, loss.cause, loss.count, loss.total);
                records.push(self.record(now, Stream::Heartbeat, "loss", body));
            }
            carried.losses = self.reports.losses().to_vec();
        }
        let (refusals, others) = self.reports.refusals();
        for (n, r) in refusals.iter().enumerate() {
            let others = if n + 1 == refusals.len() { others } else { 0 };
            let body = heartbeat::quarantine(r.lane, r.stream, r.seq, &r.reason, others);
            records.push(self.record(now, Stream::Heartbeat, "quarantine", body));
        }
        carried.refusals = refusals.len();
        carried.others = if refusals.is_empty() { 0 } else { others };
        let reports = self.lease.reports(now.mono);
        if let Some(draft) = self.metadata.draft().filter(|_| reports) {
            records.push(self.record(now, Stream::Inventory, metadata::KEY, draft.body));
            carried.metadata = Some((draft.facts, draft.whole));
        }
        if let Some(desired) = &mut self.desired
            && reports
        {
            carried.documents = desired.news();
        }
        for news in &carried.documents {
            records.push(self.record(now, Stream::Config, &news.key.to_string(), news.body()));
        }
        if let Some(installation) = self.survey.news().filter(|_| reports) {
            records.push(self.record(
                now,
                Stream::Config,
                flux::KIND,
                configuration::installation(installation),
            ));
            carried.installation = Some(installation.clone());
        }
        if let Some(body) = self.upgrade_news() {
            records.push(self.record(now, Stream::Config, upgrade::KIND, body.clone()));
            carried.upgrade = Some(body);
        }
        if records.is_empty() {
            return None;
        }
        let ticket = self.reports.reports_go(carried);
        Some(Action::Enqueue { ticket, records: records.into_iter().map(|r| (Lane::Report, r)).collect() })
    }

    fn record(&self, now: Now, stream: Stream, key: &str, body: Vec<u8>) -> Record {
        let clock = self.anchors.judge(&self.boot, now);
        let stamp = Stamp { boot: self.boot, mono_ms: now.mono.0, wall_ms: now.wall_ms, clock };
        Record { stream, key: key.to_owned(), stamp, body }
    }

    /// The store has taken records, or none of them.
    pub(super) fn enqueued(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        ticket: u64,
        result: Result<(), Reason>,
    ) {
        let Some(answered) = self.reports.answered(ticket) else { return };
        match (answered, result) {
            (Answered::Heartbeat, Ok(())) => {
                self.store_worked(ABOUT_STORE);
                self.heartbeat_waiting = true;
                self.contact_open = self.settings.deliver_with_heartbeat;
                self.outbox.waiting(Lane::State, Stream::Heartbeat);
            }
            (Answered::Heartbeat, Err(reason)) => {
                self.heartbeat_due = true;
                self.reports.state.blocked = true;
                self.conditions.raise(now, ABOUT_STORE, reason);
                self.store_failed(now, rng);
            }
            (Answered::Reports(carried), Ok(())) => {
                self.store_worked(ABOUT_REPORTS);
                self.reports_durable(now, rng, *carried);
            }
            (Answered::Reports(_), Err(reason)) => {
                self.reports.report.blocked = true;
                self.conditions.raise(now, ABOUT_REPORTS, reason);
                self.store_failed(now, rng);
            }
        }
    }

    /// Only now do the bases of deltas, marks and memories move.
    fn reports_durable(&mut self, now: Now, rng: &mut dyn Random, carried: Carried) {
        if carried.gap || !carried.losses.is_empty() || carried.refusals > 0 {
            self.outbox.waiting(Lane::Report, Stream::Heartbeat);
        }
        if carried.gap {
            self.silence.told();
            self.remember_contact();
        }
        if !carried.losses.is_empty() {
            self.reports.losses_told(&carried.losses);
            self.marks = carried.losses;
        }
        self.reports.refusals_told(carried.refusals, carried.others);
        if let Some(desired) = &mut self.desired
            && !carried.documents.is_empty()
        {
            self.outbox.waiting(Lane::Report, Stream::Config);
            desired.told(carried.documents);
        }
        if let Some(installation) = carried.installation {
            self.outbox.waiting(Lane::Report, Stream::Config);
            self.survey.told(installation);
        }
        if let Some(row) = carried.upgrade {
            self.outbox.waiting(Lane::Report, Stream::Config);
            self.upgrade_told(&row);
        }
        if let Some((facts, whole)) = carried.metadata {
            self.outbox.waiting(Lane::Report, Stream::Inventory);
            self.metadata.durable(facts);
            if whole {
                let interval = self.settings.whole_interval;
                self.schedule.set(Timer::Whole, now.mono + rng.between(interval * 7 / 8, interval));
            }
        }
    }

    /// The store's mark of reported losses has moved, or not.
    pub(super) fn marked(&mut self, now: Now, rng: &mut dyn Random, result: Result<(), Reason>) {
        match result {
            Ok(()) => {
                self.reports.marking = false;
                self.marks.clear();
                self.store_worked(ABOUT_STORE);
            }
            Err(reason) => {
                self.reports.marking = false;
                self.marks_blocked = true;
                self.conditions.raise(now, ABOUT_STORE, reason);
                self.store_failed(now, rng);
            }
        }
    }

    /// What was delivered is deleted, or not yet.
    pub(super) fn acked(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        lane: Lane,
        stream: Stream,
        through: Seq,
        result: Result<(), Reason>,
    ) {
        if let Err(reason) = result {
            self.outbox.not_acked(lane, stream);
            self.conditions.raise(now, ABOUT_STORE, reason);
            return self.store_failed(now, rng);
        }
        if !self.outbox.acked(lane, stream, through) {
            return;
        }
        self.store_worked(ABOUT_STORE);
        if lane == Lane::State && stream == Stream::Heartbeat {
            self.heartbeat_waiting = false;
            self.silence.contact(now, self.boot, &self.anchors, self.settings.heartbeat_interval);
            self.remember_contact();
        }
    }

    /// A record that the server refused for ever is set aside, or not yet.
    #[allow(clippy::too_many_arguments)] // the fields of one input
    pub(super) fn quarantined(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        lane: Lane,
        stream: Stream,
        seq: Seq,
        result: Result<(), Reason>,
    ) {
        if let Err(reason) = result {
            self.outbox.not_set_aside(now.mono, rng, lane, stream);
            self.conditions.raise(now, ABOUT_STORE, reason);
            return;
        }
        let link = self.settings.links[Endpoint::Ingest as usize];
        let Some(reason) = self.outbox.set_aside(now.mono, rng, &link, lane, stream, seq) else { return };
        self.store_worked(ABOUT_STORE);
        let shown = Reason::new(
            reason.code.clone(),
            format!(
                "record {seq} of lane {} for {} was refused for ever: {}",
                lane.name(),
                stream.table(),
                reason.message
            ),
        );
        let about = outbox_about(lane, stream);
        self.conditions.raise(
            now,
            &about,
            shown.cure("look at it with `arclet outbox`; compare its columns with the table's"),
        );
        if stream == Stream::Inventory {
            self.metadata.whole_next();
        }
        // Where everything is refused, reports of it would be too: they are only counted.
        match self.outbox.hopeless(lane, stream) {
            true => self.reports.refused_too(),
            false => self.reports.refused(Refusal { lane, stream, seq, reason }),
        }
    }

    /// A look at what the store holds.
    pub(super) fn backlog(&mut self, now: Now, backlog: &Backlog) {
        for (lane, stream, _) in backlog.waiting.iter().filter(|(_, _, records)| *records > 0) {
            self.outbox.waiting(*lane, *stream);
        }
        for Loss { lane, cause, count, total } in self.reports.lost(&backlog.losses) {
            if lane == Lane::Report {
                self.metadata.whole_next();
                self.survey.tell_again();
                if let Some((upgrade, _)) = &mut self.upgrade {
                    upgrade.tell_again();
                }
                if let Some(desired) = &mut self.desired {
                    desired.tell_all();
                }
            }
            let message = format!(
                "{count} records of lane {} were lost ({}), {total} in all",
                lane.name(),
                cause.name()
            );
            let reason = Reason::new("RecordsLost", message)
                .cure("a larger quota, or a link that is up more often; after damage, check the medium");
            self.conditions.raise(now, &format!("losses {}", lane.name()), reason);
        }
    }

    /// Queues the time of the last contact to be remembered, if it has changed.
    pub(super) fn remember_contact(&mut self) {
        if let Some(document) = self.silence.document() {
            self.memory.insert(port::DOCUMENT_CONTACT, document);
        }
    }

    /// A document is remembered, or has to be tried again unless a newer one has come.
    pub(super) fn remembered(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        name: &'static str,
        result: Result<(), Reason>,
    ) {
        let Some((kept, content)) = self.remembering.take().filter(|(kept, _)| *kept == name) else { return };
        if let Err(reason) = result {
            self.memory.entry(kept).or_insert(content);
            self.memory_blocked = true;
            self.conditions.raise(now, ABOUT_STORE, reason);
            self.store_failed(now, rng);
        } else if name == port::DOCUMENT_DESIRED
            && !self.memory.contains_key(name)
            && let Some(desired) = &mut self.desired
        {
            desired.is_remembered();
        }
    }

    fn store_worked(&mut self, about: &str) {
        self.store_failures = 0;
        self.conditions.clear(about);
    }
}

fn outbox_about(lane: Lane, stream: Stream) -> String {
    format!("quarantine {} {}", lane.name(), stream.table())
}
