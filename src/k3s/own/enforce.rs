//! Keeps a document's objects as they are wanted: look at all, note what will be made, apply in order, remove what is left
//! over.

use super::{
    FIELD_MANAGER, Found, Hand, LEAVING, OTHER_DOCUMENT, Owned, WAITS, document_of, form, is_arclets,
    is_kept, leaving, mark, same, text, title, uid, unmark,
};
use crate::core::document::ObjectRef;
use crate::core::wipe::wipe;
use crate::core::{Outcome, Reason};
use crate::k3s::client::Client;
use crate::k3s::reply::code;
use crate::k3s::resource::Resource;
use serde_json::Value;

/// A wanted object with what was found of it.
pub(super) struct Wanted {
    pub(super) reference: ObjectRef,
    pub(super) object: Value,
    pub(super) resource: Resource,
    pub(super) found: Found,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if self.reference.kind == "Secret" {
            wipe(&mut self.object);
        }
    }
}

impl Client {
    /// Applies a document's objects in their order. `document` is the text of its key; both marks are set in here.
    ///
    /// `recorded` is what was noted of it before. `note` is called at most once, before anything is made that is not there,
    /// with the whole list that replaces what was noted: what is to be made is in it without a UID. If it fails, that is not
    /// made and the rest goes on. After success [`Owned::refs`] replaces what was noted; after an error the last note
    /// stands.
    ///
    /// An error is the failure of the way to the API server. What is one object's (403, an unknown kind, 422, a conflict,
    /// an admission webhook) is its refusal, and the others go on.
    pub fn enforce(
        &self,
        document: &str,
        objects: &[Value],
        recorded: &[ObjectRef],
        note: &mut dyn FnMut(&[ObjectRef]) -> Result<(), Reason>,
    ) -> Result<Owned, Outcome> {
        let mut hand = Hand::new(self, document);
        let mut owned = Owned::default();
        let mut wanted = Vec::with_capacity(objects.len());
        let mut references = Vec::with_capacity(objects.len());
        for object in objects {
            match hand.find(object, recorded, &mut references)? {
                Ok(found) => wanted.push(found),
                Err((reference, reason)) => owned.refuse(reference, reason, recorded),
            }
        }
        let noted = noted_before(&wanted, recorded, note);
        for item in &mut wanted {
            hand.settle(item, &noted, recorded, &mut owned)?;
        }
        let left_over: Vec<ObjectRef> =
            recorded.iter().filter(|r| !references.iter().any(|w| same(w, r))).cloned().collect();
        for (reference, reason) in hand.remove(&left_over)? {
            if reason.code != LEAVING && reason.code != WAITS {
                owned.refused.push((reference.clone(), reason));
            }
            owned.refs.push(reference);
        }
        Ok(owned)
    }
}

/// A refusal of a Secret without the words of whoever refuses: an admission webhook may quote the whole object, and
/// nothing tells a quotation from the rest. The code and the cure stay.
pub(super) fn withheld(mut outcome: Outcome, reference: &ObjectRef) -> Outcome {
    let reason = match &mut outcome {
        Outcome::TooLarge(reason)
        | Outcome::BadRecord(reason)
        | Outcome::Refused(reason)
        | Outcome::Unreachable(reason)
        | Outcome::Unauthorized { reason, .. }
        | Outcome::Throttled { reason, .. } => reason,
        Outcome::Success => return outcome,
    };
    // What the network says does not name the call.
    if reference.kind == "Secret"
        && reason.message.starts_with("PATCH ")
        && reason.code != code::FIELD_CONFLICT
    {
        reason.message = format!(
            "the API server refuses {} ({}); its words may quote the secret and are not shown",
            title(reference),
            reason.code
        );
    }
    outcome
}

/// Notes what will be made. The failure to do so is that of each object that it is about.
fn noted_before(
    wanted: &[Wanted],
    recorded: &[ObjectRef],
    note: &mut dyn FnMut(&[ObjectRef]) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let new: Vec<&ObjectRef> = wanted
        .iter()
        .filter(|item| matches!(item.found, Found::Absent) && !is_kept(&item.object))
        .map(|item| &item.reference)
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let standing = recorded.iter().filter(|r| !new.iter().any(|n| same(n, r)));
    let list: Vec<ObjectRef> = standing.cloned().chain(new.iter().map(|n| (*n).clone())).collect();
    note(&list)
}

impl Owned {
    /// An object of which nothing new is known stays as it was noted.
    fn refuse(&mut self, reference: ObjectRef, reason: Reason, recorded: &[ObjectRef]) {
        self.refs.extend(recorded.iter().find(|r| same(r, &reference)).cloned());
        self.refused.push((reference, reason));
    }
}

impl Hand<'_> {
    /// What the cluster has of a wanted object, or why that cannot be said.
    pub(super) fn find(
        &mut self,
        object: &Value,
        recorded: &[ObjectRef],
        references: &mut Vec<ObjectRef>,
    ) -> Result<Result<Wanted, (ObjectRef, Reason)>, Outcome> {
        let part = |pointer| text(object, pointer).unwrap_or_default().to_owned();
        let mut reference = ObjectRef {
            api_version: part("/apiVersion"),
            kind: part("/kind"),
            namespace: text(object, "/metadata/namespace").map(str::to_owned),
            name: part("/metadata/name"),
            uid: None,
        };
        let broken = |reference: &ObjectRef, message: String| {
            Ok(Err((reference.clone(), Reason::new(code::INVALID, message))))
        };
        if [&reference.api_version, &reference.kind, &reference.name].iter().any(|part| part.is_empty()) {
            return broken(&reference, "an object without apiVersion, kind or metadata.name".into());
        }
        let known = self.resource(&reference.api_version, &reference.kind);
        let known = self.of_object(known)?.and_then(|known| {
            let message = format!("the API server knows no {} in {}", reference.kind, reference.api_version);
            known.ok_or_else(|| {
                Reason::new(code::NO_SUCH_KIND, message).cure("install what brings this kind (its CRD)")
            })
        });
        let resource = match known {
            Ok(resource) => resource,
            Err(reason) => {
                references.push(reference.clone());
                return Ok(Err((reference, reason)));
            }
        };
        let mut object = object.clone();
        if !resource.namespaced {
            reference.namespace = None;
        } else if reference.namespace.is_none() {
            return broken(&reference, format!("{} needs metadata.namespace", title(&reference)));
        }
        mark(&mut object, self.document);
        references.push(reference.clone());
        let live = match self.of_object(self.live(&resource, &reference))? {
            Ok(live) => live,
            Err(reason) => return Ok(Err((reference, reason))),
        };
        let found = self.look(live, recorded.iter().find(|r| same(r, &reference)));
        Ok(Ok(Wanted { reference, object, resource, found }))
    }

    /// Sets one object right.
    fn settle(
        &self,
        item: &mut Wanted,
        noted: &Result<(), Reason>,
        recorded: &[ObjectRef],
        owned: &mut Owned,
    ) -> Result<(), Outcome> {
        let reference = item.reference.clone();
        let kept = is_kept(&item.object);
        let (force, ours) = match &item.found {
            Found::Absent => match noted {
                Err(reason) if !kept => {
                    owned.refused.push((reference, reason.clone()));
                    return Ok(());
                }
                _ => (false, false),
            },
            Found::Ours(live) | Found::Theirs(live)
                if text(live, "/metadata/deletionTimestamp").is_some() =>
            {
                let reason = leaving(&reference, live);
                owned.live.push(live.clone());
                match item.found {
                    Found::Ours(_) => owned.refuse(reference, reason, recorded),
                    _ => owned.refused.push((reference, reason)),
                }
                return Ok(());
            }
            Found::Ours(live) | Found::Theirs(live) if kept => {
                owned.live.push(live.clone());
                return Ok(());
            }
            Found::Theirs(live) => {
                if let Err(reason) = self.take_part(&reference, live, &mut item.object) {
                    owned.refused.push((reference, reason));
                    return Ok(());
                }
                (false, false)
            }
            Found::Ours(_) => (true, true),
        };
        let form = form(&reference.kind);
        let made = self.client.patch(&item.resource, &item.object, FIELD_MANAGER, force, form);
        let made = made.map_err(|outcome| withheld(outcome, &reference));
        match self.of_object(made)? {
            Ok((live, created)) => {
                // What somebody made between the look and the apply is theirs.
                if !kept && (ours || created) {
                    owned.refs.push(ObjectRef { uid: uid(&live).map(str::to_owned), ..reference });
                }
                owned.live.push(live);
            }
            Err(reason) => {
                if let Found::Ours(live) = &item.found {
                    owned.refs.push(ObjectRef { uid: uid(live).map(str::to_owned), ..reference.clone() });
                    owned.live.push(live.clone());
                }
                owned.refused.push((reference, reason));
            }
        }
        Ok(())
    }

    /// Makes what is wanted of somebody else's object fit to be applied to it; or why it is not to be.
    pub(super) fn take_part(
        &self,
        reference: &ObjectRef,
        live: &Value,
        object: &mut Value,
    ) -> Result<(), Reason> {
        match document_of(live).filter(|_| is_arclets(live)) {
            Some(other) if other != self.document => {
                let message = format!("{} was made for {other}", title(reference));
                return Err(Reason::new(OTHER_DOCUMENT, message)
                    .cure("two documents want an object of this name: rename one of them"));
            }
            // Ours once, as its marks say, but not as noted: they stay as they are.
            Some(_) => {}
            None => unmark(object),
        }
        Ok(())
    }
}
