//! Microsoft.KubernetesConfiguration/extensionTypes (azure-arm.md 6): which versions of an extension exist, for one
//! cluster and for a location. Read-only; a test says what there is, and nothing sorts it.

use super::clusters::registered;
use super::{Call, children};
use crate::state::State;
use crate::wire::Answer;
use serde_json::{Value, json};

/// Stable api-versions. Previews are accepted everywhere; the Python client sends one.
const VERSIONS: [&str; 2] = ["2026-04-01", "2026-05-01"];
const TYPE: &str = "Microsoft.KubernetesConfiguration/extensionTypes";

/// A version of an extension type.
pub struct TypeVersion {
    /// `microsoft.flux`.
    pub name: String,
    /// `Stable`.
    pub train: String,
    /// `1.10.0`.
    pub version: String,
    /// What else `properties` has: `supportedClusterTypes`, `unsupportedKubernetesVersions`.
    pub properties: Value,
}

/// All that there are, in the order in which they are listed.
pub type Types = Vec<TypeVersion>;

/// Answers a request at the cluster's scope (`cluster`) or a location's: `rest` is the path after `extensionTypes`, in
/// lower case.
pub fn answer(state: &State, call: &Call<'_>, cluster: bool, rest: &[&str]) -> Result<Answer, Answer> {
    call.version_of(&VERSIONS)?;
    if call.question.method != "GET" {
        return Err(Answer::error(405, "HttpMethodNotAllowed", "There is nothing here but GET."));
    }
    let action = if rest.len() > 1 { "extensionTypes/versions/read" } else { "extensionTypes/read" };
    call.require(&format!("Microsoft.KubernetesConfiguration/{action}"), &call.question.path)?;
    registered(state, "Microsoft.KubernetesConfiguration")?;
    if cluster {
        children::parent(state, call)?;
    }
    let depth = call.segments.len() - rest.len();
    let base = format!("/{}", call.segments[..depth].join("/"));
    match rest {
        [] => {
            let mut names: Vec<&str> = Vec::new();
            for one in matching(state, call, None) {
                if !names.contains(&one.name.as_str()) {
                    names.push(&one.name);
                }
            }
            let all = names.iter().map(|name| shown_type(&base, name)).collect();
            page(state, call, all)
        }
        [name] => {
            let known = state.types.iter().find(|t| t.name.eq_ignore_ascii_case(name)).ok_or_else(absent)?;
            Ok(Answer::json(200, shown_type(&base, &known.name)))
        }
        [name, "versions"] => {
            if !state.types.iter().any(|t| t.name.eq_ignore_ascii_case(name)) {
                return Err(absent());
            }
            let mut all = matching(state, call, Some(name));
            if call.question.parameter("showlatest").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
                let newest = all.iter().map(|t| rank(&t.version)).max();
                all.retain(|t| Some(rank(&t.version)) == newest);
            }
            page(state, call, all.into_iter().map(|t| shown(&base, t)).collect())
        }
        [name, "versions", version] => {
            let found = |t: &&TypeVersion| t.name.eq_ignore_ascii_case(name) && t.version == *version;
            let found = state.types.iter().find(found).ok_or_else(absent)?;
            Ok(Answer::json(200, shown(&base, found)))
        }
        _ => Err(absent()),
    }
}

fn absent() -> Answer {
    Answer::error(404, "ResourceNotFound", "There is no such extension type or version.")
}

fn shown_type(base: &str, name: &str) -> Value {
    json!({ "id": format!("{base}/{name}"), "name": name, "type": TYPE, "properties": { "supportedClusterTypes": ["connectedClusters"] } })
}

fn shown(base: &str, one: &TypeVersion) -> Value {
    let TypeVersion { name, version, properties, .. } = one;
    let mut properties = properties.clone();
    properties["version"] = version.as_str().into();
    json!({ "id": format!("{base}/{name}/versions/{version}"), "name": version, "type": format!("{TYPE}/versions"), "properties": properties })
}

/// What the query's filters leave. A version that does not say which clusters it is for is for all.
fn matching<'a>(state: &'a State, call: &Call<'_>, name: Option<&str>) -> Vec<&'a TypeVersion> {
    let parameter = |name| call.question.parameter(name);
    let is = |wanted: Option<&str>, have: &str| wanted.is_none_or(|w| w.eq_ignore_ascii_case(have));
    let for_cluster = |one: &TypeVersion| {
        let kinds = one.properties["supportedClusterTypes"].as_array();
        // Both spellings occur: connectedCluster and connectedClusters.
        let same = |a: &str, b: &str| a.trim_end_matches('s').eq_ignore_ascii_case(b.trim_end_matches('s'));
        match (parameter("clustertype"), kinds) {
            (Some(wanted), Some(kinds)) => kinds.iter().filter_map(Value::as_str).any(|k| same(k, wanted)),
            _ => true,
        }
    };
    let all = state.types.iter().filter(|t| is(name, &t.name) && is(parameter("releasetrain"), &t.train));
    all.filter(|t| is(parameter("majorversion"), t.version.split('.').next().unwrap_or_default()))
        .filter(|t| for_cluster(t))
        .collect()
}

/// Numbers of a version, to compare them. What stands after a `-` makes it older.
fn rank(version: &str) -> (Vec<u64>, bool) {
    let (numbers, suffix) = version.split_once('-').map_or((version, false), |(numbers, _)| (numbers, true));
    (numbers.split('.').map(|n| n.parse().unwrap_or(0)).collect(), !suffix)
}

fn page(state: &State, call: &Call<'_>, all: Vec<Value>) -> Result<Answer, Answer> {
    let question = call.question;
    let skip = question.parameter("$skiptoken").and_then(|t| t.parse().ok()).unwrap_or(0);
    let mut body = json!({ "nextLink": null });
    if skip + state.page_size < all.len() {
        let kept = question.query.iter().filter(|(name, _)| name != "$skiptoken");
        let kept: Vec<String> = kept.map(|(name, value)| format!("{name}={value}")).collect();
        let next = skip + state.page_size;
        body["nextLink"] =
            format!("{}{}?{}&$skipToken={next}", question.base, question.path, kept.join("&")).into();
    }
    body["value"] = all.into_iter().skip(skip).take(state.page_size).collect();
    Ok(Answer::json(200, body))
}
