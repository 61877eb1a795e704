//! The template that a user deploys, read as Azure would: which streams the data collection rule declares.

use serde_json::Value;
use std::collections::BTreeMap;

/// Columns and their types, by stream.
#[derive(Clone, Debug, Default)]
pub struct Template {
    streams: BTreeMap<String, BTreeMap<String, String>>,
}

impl Template {
    /// Reads the stream declarations of the data collection rules in an ARM template.
    pub fn parse(text: &str) -> Result<Template, String> {
        let template: Value =
            serde_json::from_str(text).map_err(|e| format!("the template is no JSON: {e}"))?;
        let mut streams = BTreeMap::new();
        for resource in template["resources"].as_array().into_iter().flatten() {
            if resource["type"] != "Microsoft.Insights/dataCollectionRules" {
                continue;
            }
            for (name, declared) in
                resource["properties"]["streamDeclarations"].as_object().into_iter().flatten()
            {
                let columns = declared["columns"].as_array().into_iter().flatten();
                let columns = columns
                    .filter_map(|c| Some((c["name"].as_str()?.to_owned(), c["type"].as_str()?.to_owned())));
                streams.insert(name.clone(), columns.collect());
            }
        }
        if streams.is_empty() {
            return Err("the template declares no stream".to_owned());
        }
        Ok(Template { streams })
    }

    /// All streams and their columns.
    pub fn streams(&self) -> impl Iterator<Item = (&String, &BTreeMap<String, String>)> {
        self.streams.iter()
    }

    /// The columns of a stream.
    pub fn columns(&self, stream: &str) -> Option<&BTreeMap<String, String>> {
        self.streams.get(stream)
    }

    /// What is wrong with a row: Azure would drop it, or part of it, without a word.
    pub fn objections(&self, stream: &str, row: &Value) -> Vec<String> {
        let Some(columns) = self.columns(stream) else { return vec![format!("{stream} is not declared")] };
        let Some(row) = row.as_object() else {
            return vec![format!("{stream}: a row that is no object: {row}")];
        };
        let mut objections = Vec::new();
        if !row.contains_key("TimeGenerated") {
            objections.push(format!("{stream}: a row without TimeGenerated"));
        }
        for (name, value) in row {
            match columns.get(name) {
                None => objections.push(format!("{stream}: column {name} is not declared")),
                Some(kind) if !fits(kind, value) => {
                    objections.push(format!("{stream}: column {name} is {kind}, not {value}"))
                }
                Some(_) => {}
            }
            if value.as_str().is_some_and(|text| text.len() > 64 * 1024) {
                objections.push(format!("{stream}: column {name} is longer than 64 KB and would be cut"));
            }
        }
        objections
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        _ if value.is_null() => true,
        "datetime" => value.as_str().is_some_and(|t| t.parse::<jiff::Timestamp>().is_ok()),
        "string" => value.is_string(),
        "long" | "int" => value.is_i64() || value.is_u64(),
        "real" => value.is_number(),
        "boolean" => value.is_boolean(),
        "dynamic" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_undeclared_column_and_a_wrong_type_are_objected_to() {
        let template = Template::parse(
            &json!({"resources": [{"type": "Microsoft.Insights/dataCollectionRules", "properties": {"streamDeclarations": {"Custom-A": {"columns":
                [{"name": "TimeGenerated", "type": "datetime"}, {"name": "N", "type": "long"}]}}}}]})
            .to_string(),
        )
        .unwrap();
        let time = "2026-11-22T15:10:02.123Z";
        assert!(template.objections("Custom-A", &json!({"TimeGenerated": time, "N": 1})).is_empty());
        assert_eq!(
            template.objections("Custom-A", &json!({"TimeGenerated": time, "N": "1", "M": 2})).len(),
            2
        );
        assert_eq!(template.objections("Custom-A", &json!({"TimeGenerated": "today"})).len(), 1);
        assert_eq!(template.objections("Custom-B", &json!({})).len(), 1);
    }
}
