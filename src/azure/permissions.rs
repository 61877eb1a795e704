//! Which actions an identity may do at a scope, by ARM's own list: actions with wildcards, less the excluded ones.

use serde::Deserialize;

/// The permissions that an identity has at a scope, one set per role assignment.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Permissions {
    /// The sets: something is allowed if any of them allows it.
    #[serde(default)]
    pub value: Vec<PermissionSet>,
}

/// What one role allows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionSet {
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    not_actions: Vec<String>,
}

impl Permissions {
    /// Whether an action (`Microsoft.Kubernetes/connectedClusters/write`) is allowed. Data actions are not listed here.
    pub fn allow(&self, action: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, action));
        self.value.iter().any(|set| any(&set.actions) && !any(&set.not_actions))
    }
}

/// `*` stands for any text, slashes included; letters compare in any case.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| action.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_any_text_and_letters_any_case() {
        let action = "Microsoft.Kubernetes/connectedClusters/write";
        for pattern in [
            "*",
            "*/write",
            "microsoft.kubernetes/*",
            "Microsoft.*/connectedClusters/*",
            action,
            "M*s*/write",
        ] {
            assert!(matches(pattern, action), "{pattern}");
        }
        for pattern in [
            "",
            "*/read",
            "Microsoft.Kubernetes",
            "Microsoft.Kubernetes/*/read",
            "*write*x",
            "Microsoft.*.*/write",
        ] {
            assert!(!matches(pattern, action), "{pattern}");
        }
    }

    #[test]
    fn one_role_may_allow_what_another_excludes_but_not_what_itself_excludes() {
        let permissions = |text: &str| serde_json::from_str::<Permissions>(text).unwrap();
        let contributor = r#"{"value":[{"actions":["*"],"notActions":["Microsoft.Authorization/*/Write"]}]}"#;
        assert!(permissions(contributor).allow("Microsoft.Resources/tags/write"));
        assert!(!permissions(contributor).allow("Microsoft.Authorization/roleAssignments/write"));
        let both = r#"{"value":[{"actions":["*"],"notActions":["*/write"]},{"actions":["Microsoft.Resources/tags/*"]}]}"#;
        assert!(permissions(both).allow("Microsoft.Resources/tags/write"));
        assert!(!permissions(r#"{"value":[]}"#).allow("Microsoft.Resources/tags/read"));
    }
}
