//! Writing: server-side apply and delete, so that arclet owns the fields that it sets and takes none from others.
//!
//! There is no create, update or patch beside these: an apply that is repeated changes nothing, and a field of another
//! manager is a conflict with a name.

use super::client::{Client, WHOLE};
use super::reply::{self, code};
use super::resource::{Resource, escaped, split};
use crate::core::{Outcome, Reason};
use serde_json::{Value, json};
use ureq::http::Method;

/// What a delete found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It was there; its deletion began, or is done.
    Yes,
    /// It was not there.
    NotThere,
    /// An object of that name is there, but not the one with that UID. It was left alone.
    AnotherOne,
}

impl Client {
    /// Server-side apply of one object, with `fieldValidation=Strict`: an unknown field is an error and not a silent loss.
    /// A field that another manager owns is a refusal with code [`code::FIELD_CONFLICT`], unless `force` takes it over.
    /// Returns the object as it is then.
    pub fn apply(&self, object: &Value, manager: &str, force: bool) -> Result<Value, Outcome> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty());
        let (Some(api_version), Some(kind), Some(name)) =
            (text("/apiVersion"), text("/kind"), text("/metadata/name"))
        else {
            let message = "an object without apiVersion, kind or metadata.name cannot be applied";
            return Err(Outcome::Refused(Reason::new(code::INVALID, message)));
        };
        let namespace = text("/metadata/namespace");
        let resource = self.resource(api_version, kind)?;
        if resource.namespaced && namespace.is_none() {
            let message = format!("{kind} {name} needs metadata.namespace");
            return Err(Outcome::Refused(Reason::new(code::INVALID, message)));
        }
        self.patch(&resource, object, manager, force, WHOLE).map(|(object, _)| object)
    }

    /// The apply itself, of an object whose resource is known. `form` is that of the reply; true: it was made just now.
    pub(super) fn patch(
        &self,
        resource: &Resource,
        object: &Value,
        manager: &str,
        force: bool,
        form: &'static str,
    ) -> Result<(Value, bool), Outcome> {
        self.patch_with(resource, object, manager, force, form, "")
    }

    /// The same as a rehearsal: the object as it would be then. Nothing is changed.
    pub(super) fn rehearse(
        &self,
        resource: &Resource,
        object: &Value,
        manager: &str,
        force: bool,
        form: &'static str,
    ) -> Result<Value, Outcome> {
        self.patch_with(resource, object, manager, force, form, "&dryRun=All").map(|(object, _)| object)
    }

    fn patch_with(
        &self,
        resource: &Resource,
        object: &Value,
        manager: &str,
        force: bool,
        form: &'static str,
        more: &str,
    ) -> Result<(Value, bool), Outcome> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let path = resource.object(text("/metadata/namespace"), text("/metadata/name").unwrap_or_default());
        let query = format!("?fieldManager={}&force={force}&fieldValidation=Strict{more}", escaped(manager));
        // JSON is YAML; this content type is the one that API servers of all versions take.
        let body = Some(("application/apply-patch+yaml", object));
        let reply = self.send_for(Method::PATCH, &format!("{path}{query}"), body, form)?;
        Ok((reply::read(&format!("PATCH {path}"), &reply)?, reply.status == 201))
    }

    /// The resource of a kind: one of those known by heart, else by discovery.
    pub fn resource(&self, api_version: &str, kind: &str) -> Result<Resource, Outcome> {
        if let Some(known) = Resource::known(api_version, kind) {
            return Ok(known);
        }
        let (group, version) = split(api_version);
        self.resources(group, version)?.into_iter().find(|r| r.kind == kind).ok_or_else(|| {
            let message = format!("the API server knows no {kind} in {api_version}");
            Outcome::Refused(
                Reason::new(code::NO_SUCH_KIND, message).cure("install what brings this kind (its CRD)"),
            )
        })
    }

    /// Deletes one object, in the background; only the one with this UID, if one is given.
    pub fn delete(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        uid: Option<&str>,
    ) -> Result<Deleted, Outcome> {
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let (Some(uid), Value::Object(fields)) = (uid, &mut options) {
            fields.insert("preconditions".into(), json!({"uid": uid}));
        }
        let path = resource.object(namespace, name);
        let reply = self.send(Method::DELETE, &path, Some(("application/json", &options)))?;
        match reply::succeeded(&format!("DELETE {path}"), &reply) {
            Ok(()) => Ok(Deleted::Yes),
            Err(Outcome::Refused(r)) if r.code == code::NOT_FOUND => Ok(Deleted::NotThere),
            Err(Outcome::Refused(r)) if r.code == code::CONFLICT && uid.is_some() => Ok(Deleted::AnotherOne),
            Err(other) => Err(other),
        }
    }
}
