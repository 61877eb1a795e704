//! Whose a connected cluster is: decided once, for `connect` and `disconnect` alike.

use crate::azure::arm::Cluster;
use crate::core::Reason;

/// The tag by which arclet knows its own clusters; part of the PUT that makes one, so that no kill comes between.
pub(in crate::cli) const MARK: &str = "arclet-connected";
/// Its value on a cluster that arclet made.
pub(in crate::cli) const MADE: &str = "made";
/// Its value on one that was there before and was taken over with `--adopt`.
pub(in crate::cli) const ADOPTED: &str = "adopted";

/// Whose it is.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Owner {
    /// Made by arclet.
    Arclet,
    /// Somebody made it, arclet took it over.
    Adopted,
    /// Somebody made it, nothing runs behind it.
    Nobody,
    /// Microsoft's own agents report for it; with the sign.
    Agents(String),
}

/// Judges by what ARM says: the fields that only Microsoft's agents can set, then our mark.
pub(in crate::cli) fn owner(cluster: &Cluster) -> Owner {
    let properties = &cluster.properties;
    let set = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    if let Some(version) = set(&properties.agent_version) {
        return Owner::Agents(format!("agentVersion is {version}"));
    }
    match set(&properties.connectivity_status).as_deref() {
        // A cluster that nobody's agents ever reported for stays in one of these.
        None | Some("Connecting" | "AgentNotInstalled") => {}
        Some(status) => return Owner::Agents(format!("connectivityStatus is {status}")),
    }
    if let Some(kind) = set(&cluster.kind) {
        return Owner::Agents(format!("kind is {kind}"));
    }
    let mark = cluster
        .tags
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(MARK))
        .map(|(_, value)| value.as_str());
    match mark {
        Some(ADOPTED) => Owner::Adopted,
        Some(_) => Owner::Arclet,
        None => Owner::Nobody,
    }
}

/// The refusal of a cluster that real agents own.
pub(super) fn refusal(cluster: &Cluster, sign: &str) -> Reason {
    Reason::new("OwnedByArcAgents", format!("{} belongs to Microsoft's Azure Arc agents: {sign}", cluster.id)).cure(
        "choose another --name; or, to replace those agents: az connectedk8s delete, then run arclet connect again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(more: &str, tags: &str) -> Cluster {
        let text = format!(r#"{{"id":"/x","location":"eastus","tags":{tags},"properties":{{{more}}}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_sign_of_real_agents_beats_our_mark() {
        let mark = r#"{"Arclet-Connected":"made"}"#;
        for (sign, word) in [
            (r#""agentVersion":"1.36.1""#, "1.36.1"),
            (r#""connectivityStatus":"Connected""#, "Connected"),
            (r#""connectivityStatus":"Offline""#, "Offline"),
            (r#""connectivityStatus":"Expired""#, "Expired"),
        ] {
            let Owner::Agents(said) = owner(&cluster(sign, mark)) else { panic!("{sign}") };
            assert!(said.contains(word));
        }
        let quiet = r#""connectivityStatus":"Connecting","agentVersion":"""#;
        assert_eq!(owner(&cluster(quiet, mark)), Owner::Arclet);
        assert_eq!(owner(&cluster(quiet, r#"{"arclet-connected":"adopted"}"#)), Owner::Adopted);
        assert_eq!(owner(&cluster(quiet, r#"{"site":"x"}"#)), Owner::Nobody);
    }
}
