//! Takes a document's objects out of the cluster: last made first, and nothing before what needs it is gone.
//!
//! Flux removes what a Kustomization applied while that Kustomization is being deleted, and needs its ServiceAccount and its
//! source for it: an object is touched only when everything of other kinds that was made after it, and everything that names
//! it in `spec.dependsOn`, is away.

use super::{Found, Hand, WAITS, is_kept, leaving, same_kind, text, title, uid};
use crate::core::document::ObjectRef;
use crate::core::{Outcome, Reason};
use crate::k3s::apply::Deleted;
use crate::k3s::client::Client;
use crate::k3s::resource::Resource;
use serde_json::Value;

/// How far one object is.
enum Stage {
    /// There, and not asked to go yet.
    Present(Resource),
    /// On its way out, or not to be removed, and why.
    Stays(Reason),
    Gone,
}

struct Leaver {
    reference: ObjectRef,
    stage: Stage,
    uid: Option<String>,
    /// Namespaces and names of its own kind.
    depends_on: Vec<(Option<String>, String)>,
}

impl Leaver {
    fn new(reference: &ObjectRef, stage: Stage, live: &Value) -> Leaver {
        let depends_on = live.pointer("/spec/dependsOn").and_then(Value::as_array);
        let depends_on = depends_on.into_iter().flatten().filter_map(|on| {
            let namespace = text(on, "/namespace").map(str::to_owned).or_else(|| reference.namespace.clone());
            Some((namespace, text(on, "/name")?.to_owned()))
        });
        let depends_on = depends_on.collect();
        Leaver { reference: reference.clone(), stage, uid: uid(live).map(str::to_owned), depends_on }
    }

    /// Whether this one, which was made later unless `later` is false, needs the other one.
    fn needs(&self, other: &ObjectRef, later: bool) -> bool {
        if same_kind(&self.reference, other) {
            self.depends_on.iter().any(|(ns, name)| *ns == other.namespace && *name == other.name)
        } else {
            later
        }
    }
}

impl Client {
    /// Removes what was noted of a document, as far as that goes now, and returns what is still there and why: with code
    /// [`LEAVING`](super::LEAVING) what is on its way out, with [`WAITS`] what waits for that, else what the API server
    /// refuses. To be called again until nothing is left. Never waits.
    ///
    /// What is there but not ours (see the module) is left alone and counts as gone. An error is the failure of the way to
    /// the API server.
    pub fn withdraw(
        &self,
        document: &str,
        recorded: &[ObjectRef],
    ) -> Result<Vec<(ObjectRef, Reason)>, Outcome> {
        Hand::new(self, document).remove(recorded)
    }
}

impl Hand<'_> {
    /// Removes what is ours of `recorded`, last made first. Returns what is still there, in the order of `recorded`.
    pub(super) fn remove(&mut self, recorded: &[ObjectRef]) -> Result<Vec<(ObjectRef, Reason)>, Outcome> {
        let mut leavers = Vec::with_capacity(recorded.len());
        for reference in recorded.iter().rev() {
            leavers.extend(self.leaver(reference)?);
        }
        while let Some(next) = next(&leavers) {
            let stage = self.take_away(&leavers[next])?;
            leavers[next].stage = stage;
        }
        let waits = |n: usize| {
            let first = leavers.iter().enumerate().find(|(m, other)| holds(*m, other, n, &leavers[n]));
            let what = first.map(|(_, other)| title(&other.reference)).unwrap_or_default();
            let message = format!("{} waits for the end of {what}", title(&leavers[n].reference));
            Reason::new(WAITS, message)
        };
        let left = leavers.iter().enumerate().rev().filter_map(|(n, leaver)| {
            let reason = match &leaver.stage {
                Stage::Gone => return None,
                Stage::Present(_) => waits(n),
                Stage::Stays(reason) => reason.clone(),
            };
            Some((leaver.reference.clone(), reason))
        });
        Ok(left.collect())
    }

    /// An object that has to go, or None if there is none.
    fn leaver(&mut self, reference: &ObjectRef) -> Result<Option<Leaver>, Outcome> {
        let stays = |reason| Ok(Some(Leaver::new(reference, Stage::Stays(reason), &Value::Null)));
        let live = self.resource_now(reference).and_then(|resource| match resource {
            Some(resource) => Ok(self.live(&resource, reference)?.map(|live| (resource, live))),
            // An object cannot be there without its kind, and a server that is ready knows all of its kinds.
            None => self.client.is_ready().map(|()| None),
        });
        let (resource, live) = match self.of_object(live)? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(reason) => return stays(reason),
        };
        let Found::Ours(live) = self.look(Some(live), Some(reference)) else { return Ok(None) };
        if is_kept(&live) {
            return Ok(None);
        }
        let stage = match text(&live, "/metadata/deletionTimestamp") {
            Some(_) => Stage::Stays(leaving(reference, &live)),
            None => Stage::Present(resource),
        };
        Ok(Some(Leaver::new(reference, stage, &live)))
    }

    /// Deletes one object, as it was seen, and looks what came of it.
    fn take_away(&self, leaver: &Leaver) -> Result<Stage, Outcome> {
        let Stage::Present(resource) = &leaver.stage else { return Ok(Stage::Gone) };
        let reference = &leaver.reference;
        let (namespace, uid_seen) = (reference.namespace.as_deref(), leaver.uid.as_deref());
        let left = match self.client.delete(resource, namespace, &reference.name, uid_seen) {
            Ok(Deleted::Yes) => self.live(resource, reference),
            Ok(Deleted::NotThere | Deleted::AnotherOne) => Ok(None),
            Err(outcome) => Err(outcome),
        };
        Ok(match self.of_object(left)? {
            Ok(Some(live)) if uid(&live) == uid_seen => Stage::Stays(leaving(reference, &live)),
            Ok(_) => Stage::Gone,
            Err(reason) => Stage::Stays(reason),
        })
    }
}

/// Whether `a`, at place `n` of those that leave (last made first), has to be away before `b` at place `m`.
fn holds(n: usize, a: &Leaver, m: usize, b: &Leaver) -> bool {
    n != m && !matches!(a.stage, Stage::Gone) && a.needs(&b.reference, n < m)
}

/// The next one to delete. Those that need each other in a circle would wait forever: the last made of them goes first.
fn next(leavers: &[Leaver]) -> Option<usize> {
    let present = |n: &usize| matches!(leavers[*n].stage, Stage::Present(_));
    let free = |n: &usize| !leavers.iter().enumerate().any(|(m, other)| holds(m, other, *n, &leavers[*n]));
    let all = || (0..leavers.len()).filter(present);
    let nothing_stays = || !leavers.iter().any(|leaver| matches!(leaver.stage, Stage::Stays(_)));
    all().find(free).or_else(|| all().next().filter(|_| nothing_stays()))
}
