//! What a person does in Azure from somewhere else: cutting the device's link does not cut theirs.

use crate::wire::{Question, pairs};
use crate::{Azure, Endpoint, arm};
use serde_json::Value;

impl Azure {
    /// Resource Manager's answer to the operator: status and body (null where there is none). `target` is path and query.
    /// No fault and no cut is in its way, and it is not counted.
    pub fn operate(&self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let question = Question {
            method: method.to_owned(),
            path: path.to_owned(),
            query: pairs(query).into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
            headers: vec![("authorization".into(), format!("Bearer {}", self.operator_token()))],
            body: body.as_bytes().to_vec(),
            base: self.url(Endpoint::Arm),
        };
        let answer = arm::answer(&mut self.state(), &question);
        (answer.status, answer.body.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Azure, Options, cluster_id};

    #[test]
    fn the_operator_goes_past_a_cut_link_and_is_told_what_is_wrong() {
        let azure = Azure::start(Options::default()).unwrap();
        azure.cut_all();
        let documents = format!("{}/providers/Microsoft.KubernetesConfiguration", cluster_id("k3s-1"));
        let target = format!("{documents}/extensions/mon?api-version=2025-03-01");
        let (status, answer) = azure.operate("PUT", &target, "{}");
        assert_eq!((status, answer["error"]["code"].as_str()), (404, Some("ResourceNotFound")), "no cluster");
        assert_eq!(azure.operate("GET", &documents, "").0, 400, "no api-version");
    }
}
