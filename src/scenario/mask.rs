//! Takes secrets out of what people and Azure are shown: of documents, and of the words of others.
//!
//! ARM withholds secrets, but may show more than it says, and a URL may have a password in it. What is enforced is never
//! masked, only what is shown.

use serde_json::Value;

/// What stands in a secret's place.
const MASK: &str = "***";
/// What a text ends with that was cut to be shown.
const CUT: char = '…';
/// Members that ARM counts as secrets (`x-ms-secret` of the fluxConfigurations and extensions types), in any case.
const SECRETS: [&str; 9] = [
    "accountkey",
    "bucketsecretkey",
    "clientcertificate",
    "clientcertificatepassword",
    "clientsecret",
    "httpskey",
    "privatekey",
    "sastoken",
    "sshprivatekey",
];
/// Its members are secrets, whatever they are called.
const PROTECTED: &str = "configurationProtectedSettings";

/// A document as it may be shown.
pub fn value(shown: &mut Value) {
    match shown {
        Value::String(string) => *string = text(string),
        Value::Array(items) => items.iter_mut().for_each(value),
        Value::Object(members) => {
            for (name, member) in members {
                let secret = SECRETS.contains(&name.to_ascii_lowercase().as_str());
                match (name.eq_ignore_ascii_case(PROTECTED), &mut *member) {
                    (true, Value::Object(all)) => all.values_mut().for_each(|one| *one = MASK.into()),
                    (true, Value::Null) => {}
                    (true, _) => *member = MASK.into(),
                    (false, Value::Null) => {}
                    (false, _) if secret => *member = MASK.into(),
                    (false, _) => value(member),
                }
            }
        }
        _ => {}
    }
}

/// A text without what stands between `://` and `@` in its URLs, and without the signatures of shared access.
pub fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut rest = words;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>/?#".contains(c)).unwrap_or(after.len());
        let (authority, behind) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(MASK);
                out.push('@');
                out.push_str(host);
            }
            // A text that was cut may have lost its '@'; no host is as long as that.
            None if authority.ends_with(CUT) => out.push_str(MASK),
            None => out.push_str(authority),
        }
        rest = behind;
    }
    out.push_str(rest);
    for mark in ["?sig=", "&sig="] {
        let mut from = 0;
        while let Some(at) = out[from..].find(mark).map(|at| from + at + mark.len()) {
            let end = out[at..]
                .find(|c: char| c.is_whitespace() || "&\"'<>".contains(c))
                .map_or(out.len(), |e| at + e);
            out.replace_range(at..end, MASK);
            from = at + MASK.len();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_url_keeps_its_host_and_loses_who_asks() {
        for (words, shown) in [
            ("https://u:p@git.example/a@b?c=d", "https://***@git.example/a@b?c=d"),
            (
                "fatal: 'ssh://git@a/b' and https://x:y:z@h:8443",
                "fatal: 'ssh://***@a/b' and https://***@h:8443",
            ),
            (
                "https://a.blob/c?sv=1&sig=AbC%2B&se=2 https://b/?sig=x",
                "https://a.blob/c?sv=1&sig=***&se=2 https://b/?sig=***",
            ),
            (
                "https://a/?sig=x https://b/?sig=y https://c/?sig=",
                "https://a/?sig=*** https://b/?sig=*** https://c/?sig=***",
            ),
            ("https://user:half-a-tok…", "https://***"),
            ("me@example.com and https://plain/path", "me@example.com and https://plain/path"),
            ("://", "://"),
        ] {
            assert_eq!(text(words), shown);
            assert_eq!(text(shown), shown);
        }
    }

    #[test]
    fn a_document_keeps_its_shape_and_loses_its_secrets() {
        let mut shown = json!({"properties": {
            "gitRepository": {"url": "https://u:p@h/r", "httpsUser": "u"},
            "azureBlob": {"accountKey": "k", "servicePrincipal": {"clientId": "c", "clientSecret": "s"}, "sasToken": null},
            "configurationProtectedSettings": {"any": "thing"},
        }});
        value(&mut shown);
        assert_eq!(
            shown,
            json!({"properties": {
                "gitRepository": {"url": "https://***@h/r", "httpsUser": "u"},
                "azureBlob": {"accountKey": "***", "servicePrincipal": {"clientId": "c", "clientSecret": "***"}, "sasToken": null},
                "configurationProtectedSettings": {"any": "***"},
            }})
        );
    }
}
