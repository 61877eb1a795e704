//! What a person writes into the page's editor: documents of Azure and objects of the cluster, checked as Resource Manager
//! and the API server check them.

use super::PATIENCE;
use super::ask::{Ask, SORTS, plain};
use super::scene::is_ours;
use azure_standin::Azure;
use k3s_standin::ApiServer;
use serde_json::Value;
use std::time::Duration;

/// Manages the fields that a person sets.
const PERSON: &str = "kubectl-edit";

/// What is to be done with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Make or replace a document of Azure of this sort (`flux`, `extension`).
    Want(String, String),
    /// Delete the document that `arclet desired` calls so.
    Unwant(String),
    /// Make or replace an object of the cluster.
    Write(String),
    /// Delete it.
    Erase(String),
}

/// An object of arclet's that a person changed: what it was like, and since when it is not.
struct Watched {
    name: (String, String, String, String),
    before: Value,
    since: Duration,
    offline: bool,
}

/// What a person has done to arclet's objects and what is still to come right.
#[derive(Default)]
pub struct Hands {
    watched: Vec<Watched>,
}

impl Hands {
    /// Does it; the answer, or an error in the words of Resource Manager or the API server, is for the person.
    pub fn act(
        &mut self,
        hand: &Hand,
        azure: &Azure,
        cluster: &ApiServer,
        at: Duration,
        up: bool,
    ) -> Result<String, String> {
        match hand {
            Hand::Want(sort, text) => {
                let (plural, short) =
                    SORTS.into_iter().find(|(_, short)| short == sort).ok_or("no such sort of document")?;
                let body = parse(text)?;
                let name = body["name"].as_str().filter(|name| plain(name)).ok_or("\"name\" is missing")?;
                Ask { plural, name: name.to_owned() }.put(azure, text)?;
                // What was to come right may not be wanted any more.
                self.watched.clear();
                Ok(format!("Azure wants {short}/{name} as it was edited"))
            }
            Hand::Unwant(document) => {
                self.watched.clear();
                Ask::of(document).ok_or("no such document")?.delete(azure)
            }
            Hand::Write(text) => {
                let object = parse(text)?;
                let before = found(cluster, &object);
                cluster.hand_in(&object, PERSON)?;
                Ok(self.done("edited by hand in the cluster", cluster, &object, before, (at, up)))
            }
            Hand::Erase(text) => {
                let object = parse(text)?;
                let before = found(cluster, &object);
                cluster.take_out(&object)?;
                Ok(self.done("deleted by hand in the cluster", cluster, &object, before, (at, up)))
            }
        }
    }

    fn done(
        &mut self,
        what: &str,
        cluster: &ApiServer,
        object: &Value,
        before: Option<Value>,
        (at, up): (Duration, bool),
    ) -> String {
        let name = name(object);
        let said = format!("{what}: {} {}", name.1, name.3);
        let Some(before) = before.filter(is_ours) else { return format!("{said} (not arclet's)") };
        let changed = found(cluster, object).is_none_or(|now| !same(&now, &before));
        self.watched.retain(|watched| watched.name != name);
        if changed {
            self.watched.push(Watched { name, before, since: at, offline: !up });
        }
        said
    }

    /// What has come right since the last look, and what will not.
    pub fn look(&mut self, cluster: &ApiServer, at: Duration, up: bool) -> Vec<String> {
        let mut said = Vec::new();
        self.watched.retain(|watched| {
            let (api_version, kind, namespace, name) = &watched.name;
            let title = format!("{kind} {name}");
            let took = at.saturating_sub(watched.since);
            let now = cluster.object((api_version, kind, namespace, name));
            if now.as_ref().is_some_and(|now| !is_ours(now)) {
                said.push(format!(
                    "{title} stays: who takes arclet's label off an object takes the object over"
                ));
                return false;
            }
            if now.is_some_and(|now| same(&now, &watched.before)) {
                let how = if watched.offline && !up { "from the cache, with the link cut " } else { "" };
                said.push(format!("{title} is set right {how}(after {:.1} s)", took.as_secs_f64()));
                return false;
            }
            if took >= PATIENCE {
                said.push(format!("{title} stays: what arclet does not set is not arclet's to undo"));
                return false;
            }
            true
        });
        said
    }
}

fn parse(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("this is no JSON: {e}"))?;
    value.is_object().then_some(value).ok_or_else(|| "this is no JSON object".to_owned())
}

fn name(object: &Value) -> (String, String, String, String) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let namespace = Some(text("/metadata/namespace")).filter(|n| !n.is_empty());
    (
        text("/apiVersion"),
        text("/kind"),
        namespace.unwrap_or_else(|| "default".to_owned()),
        text("/metadata/name"),
    )
}

/// The object that this one names, if there is one of a kind that is known.
fn found(cluster: &ApiServer, object: &Value) -> Option<Value> {
    let (api_version, kind, namespace, name) = name(object);
    cluster.knows(&api_version, &kind).then(|| cluster.object((&api_version, &kind, &namespace, &name)))?
}

/// What arclet sets of an object: all but what the API server and controllers do.
fn same(one: &Value, other: &Value) -> bool {
    let leaves = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
    let parts = ["/spec", "/data", "/type", "/rules", "/subjects", "/roleRef", "/metadata/labels"];
    !leaves(one) && !leaves(other) && parts.iter().all(|part| one.pointer(part) == other.pointer(part))
}

#[cfg(test)]
mod tests {
    use super::super::scene::{FLEET, configuration};
    use super::*;
    use k3s_standin::Flux;
    use serde_json::json;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    struct Bench {
        azure: Azure,
        cluster: ApiServer,
        hands: Hands,
    }

    impl Bench {
        fn new() -> Bench {
            let options = k3s_standin::Options { flux: Flux::Stable, ..k3s_standin::Options::default() };
            Bench {
                azure: Azure::start(azure_standin::Options::default()).unwrap(),
                cluster: ApiServer::start(options).unwrap(),
                hands: Hands::default(),
            }
        }

        fn act(&mut self, hand: Hand) -> Result<String, String> {
            self.hands.act(&hand, &self.azure, &self.cluster, seconds(1), true)
        }
    }

    fn object(branch: &str, ours: bool) -> String {
        let labels = if ours { json!({"app.kubernetes.io/managed-by": "arclet"}) } else { json!({}) };
        json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "fleet", "namespace": "default", "labels": labels}, "spec": {"ref": {"branch": branch}}})
        .to_string()
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_whoever_refuses_it() {
        let mut bench = Bench::new();
        let want = |text: &str| Hand::Want("flux".into(), text.into());
        let properties = configuration("main");
        for (hand, words) in [
            (want("{"), "no JSON"),
            (want("{}"), "\"name\" is missing"),
            (want(&json!({"name": "../../x", "properties": properties}).to_string()), "\"name\""),
            // There is no cluster that it could be wanted of.
            (want(&json!({"name": FLEET, "properties": properties}).to_string()), "404 ResourceNotFound"),
            (Hand::Unwant("flux/none".into()), "404"),
            (Hand::Unwant("none".into()), "no such document"),
            (Hand::Write("[]".into()), "no JSON object"),
            (Hand::Write(json!({"apiVersion": "v1", "kind": "Ghost"}).to_string()), "no matches for kind"),
            (Hand::Erase(object("main", true)), "not found"),
        ] {
            let refused = bench.act(hand.clone()).unwrap_err();
            assert!(refused.contains(words), "{hand:?}: {refused}");
        }
    }

    #[test]
    fn what_a_person_changes_of_arclets_is_followed_until_it_is_right_again_or_stays() {
        let mut bench = Bench::new();
        bench.act(Hand::Write(object("main", true))).unwrap();
        let said = bench.act(Hand::Write(object("mine", true))).unwrap();
        assert!(said.contains("edited by hand"), "{said}");
        assert!(bench.hands.look(&bench.cluster, seconds(2), true).is_empty(), "nobody has set it right");
        let stays = bench.hands.look(&bench.cluster, seconds(1) + PATIENCE, true);
        assert!(stays[0].contains("stays"), "{stays:?}");
        bench.act(Hand::Erase(object("mine", true))).unwrap();
        bench.cluster.hand_in(&serde_json::from_str(&object("mine", true)).unwrap(), "arclet").unwrap();
        let right = bench.hands.look(&bench.cluster, seconds(3), true);
        assert!(right[0].contains("is set right (after 2.0 s)"), "{right:?}");
        let taken = bench.act(Hand::Write(object("mine", false))).unwrap();
        assert!(taken.contains("edited"), "{taken}");
        assert!(bench.hands.look(&bench.cluster, seconds(3), true)[0].contains("takes the object over"));
        assert!(bench.hands.look(&bench.cluster, seconds(99), true).is_empty(), "it is over");
    }
}
