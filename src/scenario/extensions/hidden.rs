//! Protected settings taken out of what the cluster says: Helm quotes whole objects when it complains of one.
//!
//! Values are looked for as they are, line by line where they have several, in base64 and as JSON writes them. Shorter ones
//! than [`SHORTEST`] are left: they are in any text.

use super::protected_name_of;
use crate::core::document::Key;
use crate::core::job::JobView;
use crate::core::wipe::wipe;
use crate::scenario::supplies::Supplies;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

/// Characters of a value that is looked for.
const SHORTEST: usize = 4;
/// What stands in its place.
const HIDDEN: &str = "***";

/// Replaces the protected settings of an extension in all that its Job and pods say.
pub fn hide(job: &mut JobView, key: &Key, supplies: &Supplies) {
    let values = values(key, supplies);
    if values.is_empty() {
        return;
    }
    let texts = job.log.iter_mut().chain(&mut job.warnings);
    texts.for_each(|text| replace(text, &values));
    job.job.iter_mut().chain(&mut job.pods).for_each(|object| walk(object, &values));
}

/// What is not to be shown, the longest first: one may be a part of another.
fn values(key: &Key, supplies: &Supplies) -> Vec<Zeroizing<String>> {
    let held =
        supplies.naming.as_ref().and_then(|naming| supplies.secrets.get(&protected_name_of(key, naming)));
    let mut written: Value = held.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut values = Vec::new();
    for value in written.as_object().into_iter().flat_map(|map| map.values()).filter_map(Value::as_str) {
        let quoted = Zeroizing::new(Value::from(value).to_string());
        let lines = value.lines().map(str::trim);
        let forms = [value, quoted.trim_matches('"')].into_iter().chain(lines);
        values.extend(forms.map(|form| Zeroizing::new(form.to_owned())));
        values.push(Zeroizing::new(BASE64_STANDARD.encode(value)));
    }
    wipe(&mut written);
    values.retain(|value| value.chars().count() >= SHORTEST);
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
}

/// Messages only: a setting may have the text of a name or of a condition's status, and those are read and not shown.
fn walk(value: &mut Value, values: &[Zeroizing<String>]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, values)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, field)| match field {
            Value::String(text) if name == "message" => replace(text, values),
            field => walk(field, values),
        }),
        _ => {}
    }
}

fn replace(text: &mut String, values: &[Zeroizing<String>]) {
    for value in values {
        if text.contains(value.as_str()) {
            let clean = text.replace(value.as_str(), HIDDEN);
            text.zeroize();
            *text = clean;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_protected;
    use super::*;
    use crate::core::document::Kind;
    use serde_json::json;

    #[test]
    fn no_protected_setting_is_left_in_what_a_job_says_in_whatever_form_it_is_quoted() {
        let protected =
            json!({"key": "s3cret\"word", "pem": "-----BEGIN-----\nAbCdEf==\n", "on": "1", "all": "True"});
        let protected = protected.to_string();
        let supplies = with_protected("1.0.0", "v1", &protected);
        let said = format!(
            "on 1: s3cret\"word, s3cret\\\"word, {}, line AbCdEf== of it",
            BASE64_STANDARD.encode("s3cret\"word")
        );
        let mut job = JobView {
            job: Some(json!({"status": {"conditions": [{"status": "True", "message": said}]}})),
            pods: vec![
                json!({"status": {"containerStatuses": [{"state": {"terminated": {"message": said}}}]}}),
            ],
            log: Some(said.clone()),
            warnings: vec![said.clone()],
            refused: None,
        };
        hide(&mut job, &Key::new(Kind::Extension, "mon"), &supplies);
        let wanted = "on 1: ***, ***, ***, line *** of it";
        assert_eq!((job.log.as_deref(), job.warnings[0].as_str()), (Some(wanted), wanted));
        assert_eq!(job.pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["message"], wanted);
        let condition = &job.job.unwrap()["status"]["conditions"][0];
        assert_eq!((&condition["message"], &condition["status"]), (&json!(wanted), &json!("True")));
    }
}
