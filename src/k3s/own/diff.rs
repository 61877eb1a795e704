//! What an apply would change, without changing it: each object is looked at and applied as a rehearsal
//! (`dryRun=All`), and the two are compared.
//!
//! The rehearsal is the API server's own: defaults, other managers' fields and admission are in it as they would be. It
//! needs no right that enforcing does not need. Nothing here writes, and of Secrets only metadata is asked for.

use super::enforce::{Wanted, withheld};
use super::{FIELD_MANAGER, Found, Hand, compare, form, is_kept, leaving, same, text};
use crate::core::difference::{Difference, ObjectDiff};
use crate::core::document::ObjectRef;
use crate::core::{Outcome, Reason};
use crate::k3s::client::Client;
use crate::k3s::reply::code;
use serde_json::Value;
use std::time::Duration;

impl Client {
    /// How the cluster differs from a document's objects (see [`Client::enforce`] for the arguments), and which of those
    /// that were made for it nothing wants any more. In the order in which they are wanted; what is as it is wanted is not
    /// in it.
    ///
    /// An error is the failure of the way to the API server, or [`Outcome::Unreachable`] with the code `TooSlow` when it
    /// takes longer than `most` for all.
    pub fn diff(
        &self,
        document: &str,
        objects: &[Value],
        recorded: &[ObjectRef],
        most: Duration,
    ) -> Result<Vec<ObjectDiff>, Outcome> {
        let began = self.clock().now().mono;
        let mut hand = Hand::new(self, document);
        let mut found = Vec::new();
        let mut references = Vec::with_capacity(objects.len());
        let in_time = |done: usize| {
            if self.clock().now().mono.since(began) < most {
                return Ok(());
            }
            let of = objects.len() + recorded.len();
            let message = format!("{done} of {of} objects were compared in {} s", most.as_secs());
            Err(Outcome::Unreachable(
                Reason::new("TooSlow", message)
                    .cure("the API server is busy: try again, or look at its load"),
            ))
        };
        for (n, object) in objects.iter().enumerate() {
            in_time(n)?;
            match hand.find(object, recorded, &mut references)? {
                Ok(mut item) => found.extend(hand.rehearse(&mut item)?),
                Err((reference, reason)) => {
                    found.push(entry(reference, Difference::Refused, Some(reason)));
                }
            }
        }
        for (n, reference) in recorded.iter().enumerate() {
            if !references.iter().any(|wanted| same(wanted, reference)) {
                in_time(objects.len() + n)?;
                found.extend(hand.unwanted(reference)?);
            }
        }
        Ok(found)
    }
}

fn entry(object: ObjectRef, difference: Difference, reason: Option<Reason>) -> ObjectDiff {
    ObjectDiff { object, difference, reason, fields: Vec::new(), more_fields: 0 }
}

impl Hand<'_> {
    /// What an apply of one object would come to.
    fn rehearse(&self, item: &mut Wanted) -> Result<Option<ObjectDiff>, Outcome> {
        let reference = item.reference.clone();
        let kept = is_kept(&item.object);
        let (live, difference, force) = match &item.found {
            Found::Absent => return self.rehearse_making(item).map(Some),
            Found::Ours(live) | Found::Theirs(live)
                if text(live, "/metadata/deletionTimestamp").is_some() =>
            {
                let reason = leaving(&reference, live);
                return Ok(Some(entry(reference, Difference::Leaving, Some(reason))));
            }
            // It is there: that is all that is wanted of it.
            Found::Ours(_) | Found::Theirs(_) if kept => return Ok(None),
            Found::Ours(live) => (live, Difference::Differs, true),
            Found::Theirs(live) => {
                if let Err(reason) = self.take_part(&reference, live, &mut item.object) {
                    return Ok(Some(entry(reference, Difference::Foreign, Some(reason))));
                }
                (live, Difference::Foreign, false)
            }
        };
        let mut diff = entry(reference, difference, None);
        let mut made = self.of_object(self.apply_dry(item, force))?;
        if let Err(conflict) = &made
            && conflict.code == code::FIELD_CONFLICT
        {
            // Which fields they are is only told by taking them, and a rehearsal takes nothing.
            diff.reason = Some(conflict.clone());
            made = self.of_object(self.apply_dry(item, true))?;
        }
        match made {
            Ok(wanted) => self.compare(&mut diff, live, &wanted),
            Err(reason) => diff.reason = Some(reason),
        }
        // What is as it is wanted is worth a word only if it is somebody else's.
        let differs = !diff.fields.is_empty() || diff.reason.is_some();
        Ok((differs || difference == Difference::Foreign).then_some(diff))
    }

    fn compare(&self, diff: &mut ObjectDiff, live: &Value, wanted: &Value) {
        diff.fields = compare::fields(live, wanted);
        if diff.object.kind == "Secret" {
            let content = compare::content(live, wanted, !diff.fields.is_empty());
            diff.fields.extend(content);
        }
        diff.more_fields = diff.fields.len().saturating_sub(MOST_FIELDS);
        diff.fields.truncate(MOST_FIELDS);
    }

    /// Of an object that is not there: whether it could be made.
    fn rehearse_making(&self, item: &Wanted) -> Result<ObjectDiff, Outcome> {
        let refusal = match self.of_object(self.apply_dry(item, false))? {
            Ok(_) => None,
            // Its namespace, which is missing too and has a line of its own.
            Err(reason) if reason.code == code::NOT_FOUND => None,
            Err(reason) => Some(reason),
        };
        Ok(entry(item.reference.clone(), Difference::Missing, refusal))
    }

    fn apply_dry(&self, item: &Wanted, force: bool) -> Result<Value, Outcome> {
        let form = form(&item.reference.kind);
        let made = self.client.rehearse(&item.resource, &item.object, FIELD_MANAGER, force, form);
        made.map_err(|outcome| withheld(outcome, &item.reference))
    }

    /// Of an object that was made and that nothing wants: whether it is still there.
    fn unwanted(&mut self, reference: &ObjectRef) -> Result<Option<ObjectDiff>, Outcome> {
        let live = self.resource_now(reference).and_then(|resource| match resource {
            Some(resource) => self.live(&resource, reference),
            None => Ok(None),
        });
        let live = match self.of_object(live)? {
            Ok(live) => live,
            Err(reason) => return Ok(Some(entry(reference.clone(), Difference::Refused, Some(reason)))),
        };
        Ok(match self.look(live, Some(reference)) {
            Found::Ours(live) if is_kept(&live) => None,
            Found::Ours(live) if text(&live, "/metadata/deletionTimestamp").is_some() => {
                let reason = leaving(reference, &live);
                Some(entry(reference.clone(), Difference::Leaving, Some(reason)))
            }
            Found::Ours(_) => Some(entry(reference.clone(), Difference::LeftOver, None)),
            Found::Absent | Found::Theirs(_) => None,
        })
    }
}

/// Fields of one object that are shown.
const MOST_FIELDS: usize = 100;
