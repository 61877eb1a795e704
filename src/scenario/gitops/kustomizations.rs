//! `kustomizations` → Kustomization objects, each after those that it depends on.

use super::document::Document;
use super::versions::{Versions, duration};
use super::{code, stamp, tenancy};
use crate::core::Reason;
use crate::scenario::fields::{Fields, shown};
use crate::scenario::names;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// In the order in which they are to be made. That order only saves Flux some waiting (it knows `dependsOn` itself); the
/// reverse is the order of removal, in which it matters.
pub(super) fn render(document: &Document, versions: &Versions) -> Result<Vec<Value>, Reason> {
    let mut wanted = BTreeMap::new();
    for (name, fields) in document.properties()?.objects("kustomizations")? {
        let full = document.kustomization(name, fields.place())?;
        refuse_other_clusters(&fields)?;
        let needs = fields.list("dependsOn")?;
        wanted.insert(name, (full, fields, needs));
    }
    let nodes =
        wanted.iter().map(|(name, (_, fields, needs))| (*name, fields.path("dependsOn"), needs.as_slice()));
    let order = order(nodes)?;
    let mut objects = Vec::with_capacity(wanted.len());
    for name in order {
        let Some((full, fields, needs)) = wanted.get(name) else { continue };
        objects.push(kustomization(document, versions, full, fields, needs)?);
    }
    Ok(objects)
}

fn kustomization(
    document: &Document,
    versions: &Versions,
    name: &str,
    fields: &Fields,
    needs: &[&str],
) -> Result<Value, Reason> {
    let mut spec = Map::from_iter([
        ("sourceRef".to_owned(), json!({"kind": document.source.kind(), "name": document.name})),
        ("interval".to_owned(), json!(duration(fields.seconds("syncIntervalInSeconds")?.unwrap_or(600)))),
        ("timeout".to_owned(), json!(duration(fields.seconds("timeoutInSeconds")?.unwrap_or(600)))),
        ("prune".to_owned(), json!(fields.flag("prune", false)?)),
        ("force".to_owned(), json!(fields.flag("force", false)?)),
        ("wait".to_owned(), json!(fields.flag("wait", true)?)),
        ("suspend".to_owned(), json!(document.suspend)),
    ]);
    if let Some(path) = fields.text("path")? {
        spec.insert("path".into(), path.into());
    }
    if let Some(retry) = fields.seconds("retryIntervalInSeconds")? {
        spec.insert("retryInterval".into(), duration(retry).into());
    }
    if !needs.is_empty() {
        let needs: Vec<Value> = needs.iter().map(|need| json!({"name": document.own(need)})).collect();
        spec.insert("dependsOn".into(), needs.into());
    }
    if let Some(post) = fields.object("postBuild")? {
        let post = post_build(&post)?;
        if !post.is_empty() {
            spec.insert("postBuild".into(), Value::Object(post));
        }
    }
    tenancy::limit(&mut spec, document);
    Ok(stamp::object(&versions.kustomize(), "Kustomization", document, name, spec))
}

/// The one field of tomorrow (a preview has it) that may not be passed over: what is meant for another cluster would be
/// applied to this one.
fn refuse_other_clusters(fields: &Fields) -> Result<(), Reason> {
    if !fields.holds_something("kubeConfig") {
        return Ok(());
    }
    let message =
        format!("{} names another cluster, and this version knows only its own", fields.path("kubeConfig"));
    Err(Reason::new(code::UNKNOWN_VALUE, message)
        .cure("give that cluster a configuration of its own, or use a newer arclet"))
}

fn post_build(post: &Fields) -> Result<Map<String, Value>, Reason> {
    let mut built = Map::new();
    let substitute = post.texts("substitute")?;
    if !substitute.is_empty() {
        let substitute: Map<String, Value> =
            substitute.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        built.insert("substitute".into(), Value::Object(substitute));
    }
    let mut from = Vec::new();
    for item in post.list_of_objects("substituteFrom")? {
        let kind = item.word("kind", &[("ConfigMap", "ConfigMap"), ("Secret", "Secret")])?;
        let kind = kind.ok_or_else(|| item.missing("kind"))?;
        let name = item.required("name")?;
        names::subdomain(&item.path("name"), name)?;
        let mut source = json!({"kind": kind, "name": name});
        // Not in v1beta1, which knows only what has to be there.
        if item.flag("optional", false)? {
            source["optional"] = true.into();
        }
        from.push(source);
    }
    if !from.is_empty() {
        built.insert("substituteFrom".into(), from.into());
    }
    Ok(built)
}

/// Each name after those it needs, and by name where that leaves a choice. `(name, path of its list, what it needs)`.
fn order<'a>(
    nodes: impl Iterator<Item = (&'a str, String, &'a [&'a str])> + Clone,
) -> Result<Vec<&'a str>, Reason> {
    let names: BTreeSet<&str> = nodes.clone().map(|(name, ..)| name).collect();
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, path, needs) in nodes {
        for need in needs {
            if !names.contains(need) {
                let need = shown(need);
                let message = format!("{path} names {need}, and there is no kustomization of that name");
                let cure = format!("add the kustomization, or take its name out of {path}");
                return Err(Reason::new(code::UNKNOWN_DEPENDENCY, message).cure(cure));
            }
        }
        let needs: BTreeSet<&str> = needs.iter().copied().collect();
        needs.iter().for_each(|need| needed_by.entry(need).or_default().push(name));
        waiting.insert(name, needs);
    }

    let mut free: BTreeSet<&str> =
        waiting.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| *name).collect();
    let mut order = Vec::with_capacity(names.len());
    while let Some(name) = free.pop_first() {
        order.push(name);
        waiting.remove(name);
        for next in needed_by.remove(name).unwrap_or_default() {
            if let Some(needs) = waiting.get_mut(next) {
                needs.remove(name);
                if needs.is_empty() {
                    free.insert(next);
                }
            }
        }
    }
    if waiting.is_empty() { Ok(order) } else { Err(circle(&waiting)) }
}

/// Names one circle among those that wait for each other: from any of them each next one is what it waits for.
fn circle(waiting: &BTreeMap<&str, BTreeSet<&str>>) -> Reason {
    let mut way: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut at = waiting.keys().next().copied();
    while let Some(name) = at.filter(|name| seen.insert(*name)) {
        way.push(name);
        at = waiting.get(name).and_then(|needs| needs.first()).copied();
    }
    let begin = way.iter().position(|name| Some(*name) == at).unwrap_or(0);
    let circle: Vec<&str> = way.drain(begin..).chain(at).collect();
    let shown = match circle.as_slice() {
        short if short.len() <= 8 => short.join(" → "),
        long => format!("{} → … ({} kustomizations)", long[..7].join(" → "), long.len() - 1),
    };
    Reason::new(code::DEPENDENCY_CYCLE, format!("properties.kustomizations wait for each other: {shown}"))
        .cure("take one of these names out of a dependsOn")
}
