//! What the agent and Azure's tables say, as the page shows it.

use crate::state::{Link, Row};
use std::time::Duration;

/// The links of `arclet status -o json`.
pub fn links(status: &serde_json::Value) -> Vec<Link> {
    let links = status["links"].as_array().map(Vec::as_slice).unwrap_or_default();
    links
        .iter()
        .map(|link| {
            let word = |name: &str| link[name].as_str().unwrap_or_default().to_owned();
            let reason = link["reason"]["message"].as_str().unwrap_or_default();
            let next =
                link["nextTrySeconds"].as_u64().map(|s| format!("next try in {s} s")).unwrap_or_default();
            let why =
                [reason, &next].iter().filter(|t| !t.is_empty()).copied().collect::<Vec<_>>().join("; ");
            Link { endpoint: word("endpoint"), state: word("state"), why }
        })
        .collect()
}

/// The columns that a person wants to see of a row.
pub fn shown(arrived: &azure_standin::Arrived, elapsed: Duration) -> Row {
    let row = &arrived.row;
    let common = [
        "TimeGenerated",
        "EventTime",
        "BootId",
        "Seq",
        "ClockState",
        "MessageId",
        "ClusterId",
        "AgentVersion",
    ];
    let own = row
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| !common.contains(&name.as_str()) && !value.is_null());
    let what = own.map(|(name, value)| {
        format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    });
    let late = arrived.late_ms().map(|ms| ms.max(0) as f64 / 1000.0);
    Row {
        at: format!("{:.1} s", elapsed.as_secs_f64()),
        table: arrived.stream.replace("Custom-", "") + "_CL",
        seq: row["Seq"].to_string(),
        what: what.collect::<Vec<_>>().join(", "),
        late: late.map(|s| format!("{s:.1} s")).unwrap_or_default(),
        is_late: late.is_some_and(|s| s > 1.5),
    }
}
