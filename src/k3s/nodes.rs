//! How many nodes and vCPUs the cluster has, and what its nodes say of the distribution.
//!
//! A node object has about 10 kB, most of it the names of its images. Pages are folded into sums as they come, so that a
//! list of 5,000 nodes takes the memory of one page.

use super::client::{Client, ListMeta, RESTARTS};
use super::resource::escaped;
use super::{distribution, reply};
use crate::core::{Outcome, Reason};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use ureq::http::Method;

/// Nodes in one page: about half a megabyte.
const PAGE: usize = 50;
/// For all pages together: the report's interval is 5 min.
const DEADLINE: Duration = Duration::from_secs(120);
/// Different provider ids and kubelet versions that are kept.
const SAMPLES: usize = 8;

/// Sums over all nodes, and the evidence of the distribution that [`distribution::detect`] weighs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTotals {
    /// Nodes, ready or not.
    pub nodes: u64,
    /// Sum of `status.capacity.cpu`, in thousandths of a vCPU.
    pub vcpu_millis: u64,
    /// The first few `spec.providerID`, for example `k3s://edge-1`.
    pub provider_ids: Vec<String>,
    /// The first few kubelet versions, and how many nodes have each.
    pub kubelet_versions: BTreeMap<String, u64>,
    /// Labels and annotations that tell a distribution, with the value that was seen first.
    pub marks: BTreeMap<&'static str, String>,
}

impl NodeTotals {
    /// Whole vCPUs; a part of one counts as one.
    pub fn vcpus(&self) -> u64 {
        self.vcpu_millis.div_ceil(1000)
    }

    fn add(&mut self, node: Node<'_>) {
        self.nodes += 1;
        let cpu = node.status.capacity.cpu.as_deref().and_then(millis).unwrap_or(0);
        self.vcpu_millis = self.vcpu_millis.saturating_add(cpu);
        if let Some(id) = node.spec.provider_id
            && self.provider_ids.len() < SAMPLES
        {
            self.provider_ids.push(id.into_owned());
        }
        let kubelet = node.status.node_info.kubelet_version;
        if let Some(count) = self.kubelet_versions.get_mut(&*kubelet) {
            *count += 1;
        } else if self.kubelet_versions.len() < SAMPLES {
            self.kubelet_versions.insert(kubelet.into_owned(), 1);
        }
        for mark in distribution::MARKS {
            let value = node.metadata.labels.get(mark).or_else(|| node.metadata.annotations.get(mark));
            if let Some(value) = value {
                self.marks.entry(mark).or_insert_with(|| value.to_string());
            }
        }
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow)]
    items: Vec<Node<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Node<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    annotations: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec<'a> {
    #[serde(rename = "providerID", borrow)]
    provider_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow)]
    capacity: Capacity<'a>,
    #[serde(borrow)]
    node_info: NodeInfo<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Capacity<'a> {
    #[serde(borrow)]
    cpu: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct NodeInfo<'a> {
    #[serde(borrow)]
    kubelet_version: Cow<'a, str>,
}

impl Client {
    /// All nodes, folded. Complete or an error: a list that broke off is no smaller cluster. Needs `list` on nodes.
    pub fn nodes(&self) -> Result<NodeTotals, Outcome> {
        const CALL: &str = "GET /api/v1/nodes";
        let start = self.clock().now().mono;
        let (mut totals, mut token, mut restarts) = (NodeTotals::default(), String::new(), 0);
        loop {
            if self.clock().now().mono.since(start) > DEADLINE {
                let message = format!("{CALL}: the list did not end within {} s", DEADLINE.as_secs());
                return Err(Outcome::Unreachable(Reason::new("Timeout", message)));
            }
            let path = format!("/api/v1/nodes?limit={PAGE}&continue={}", escaped(&token));
            let reply = self.send(Method::GET, &path, None)?;
            match reply::succeeded(CALL, &reply) {
                Err(Outcome::Refused(r)) if r.code == reply::code::EXPIRED && restarts < RESTARTS => {
                    restarts += 1;
                    totals = NodeTotals::default();
                    token.clear();
                    continue;
                }
                other => other?,
            }
            let page: Page<'_> = reply::parsed(CALL, &reply)?;
            page.items.into_iter().for_each(|node| totals.add(node));
            if page.metadata.token.is_empty() {
                return Ok(totals);
            }
            token = page.metadata.token;
        }
    }
}

/// A quantity of CPU (`4`, `3500m`, `0.5`, `1k`, `2e3`) in thousandths, rounded up as Kubernetes does; None if it is none.
pub fn millis(quantity: &str) -> Option<u64> {
    let end = quantity.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(end);
    let exponent = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        _ => suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok().filter(|e| (-9..=9).contains(e))?,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.len() > 9 || part.contains('.') {
        return None;
    }
    let digits: u128 = format!("{whole}{part}").parse().ok().filter(|d: &u128| *d < 1 << 64)?;
    // digits * 10^(exponent - places + 3)
    let power = exponent - part.len() as i32 + 3;
    let scale = 10u128.pow(power.unsigned_abs());
    u64::try_from(if power >= 0 { digits * scale } else { digits.div_ceil(scale) }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_cpu_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("4", Some(4000)),
            ("3500m", Some(3500)),
            ("0.5", Some(500)),
            ("1.25", Some(1250)),
            (".5", Some(500)),
            ("5.", Some(5000)),
            ("1k", Some(1_000_000)),
            ("2e3", Some(2_000_000)),
            ("15E-1", Some(1500)),
            ("100u", Some(1)),
            ("1n", Some(1)),
            ("0", Some(0)),
            ("", None),
            (".", None),
            ("-4", None),
            ("4 ", None),
            ("4Q", None),
            ("1.2.3", None),
            ("1e99", None),
            ("99999999999999999999G", None),
        ] {
            assert_eq!(millis(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nodes_are_summed_and_their_marks_kept() {
        let page: Page<'_> = serde_json::from_str(
            r#"{"metadata":{"continue":"x"},"items":[
                {"metadata":{"labels":{"minikube.k8s.io/version":"v1","a":"b\n"}},"spec":{"providerID":"k3s://a"},
                 "status":{"capacity":{"cpu":"4","memory":"1Gi"},"nodeInfo":{"kubeletVersion":"v1.36.3+k3s1"}}},
                {"metadata":{},"status":{"capacity":{"cpu":"500m"}}},
                {"metadata":{"name":"just-registered"}}]}"#,
        )
        .unwrap();
        let mut totals = NodeTotals::default();
        page.items.into_iter().for_each(|node| totals.add(node));
        assert_eq!((totals.nodes, totals.vcpu_millis, totals.vcpus()), (3, 4500, 5));
        assert_eq!(totals.provider_ids, ["k3s://a"]);
        assert_eq!(totals.marks.get("minikube.k8s.io/version").map(String::as_str), Some("v1"));
        assert_eq!(totals.kubelet_versions.get("v1.36.3+k3s1"), Some(&1));
    }
}
