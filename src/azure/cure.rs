//! What an operator can do about Resource Manager's refusals, by the API's own codes.

/// The role that may register a cluster.
const ONBOARDING: &str = "\"Kubernetes Cluster - Azure Arc Onboarding\"";

/// The next step after a refusal while `doing` something; `None` for codes that say nothing about the setup.
pub(super) fn arm(doing: &str, code: &str) -> Option<String> {
    let role = match doing {
        "updating tags" => "\"Tag Contributor\" on the cluster's resource".to_owned(),
        "changing the cluster" => {
            format!("{ONBOARDING} on the resource group (deleting needs \"Contributor\" on the cluster)")
        }
        "reading the data collection rule" => "\"Monitoring Reader\" on the rule".to_owned(),
        _ => "\"Reader\" on the resource group".to_owned(),
    };
    Some(match code {
        "AuthorizationFailed" | "LinkedAuthorizationFailed" => {
            format!("give this identity the role {role}; an assignment may take minutes to spread")
        }
        "MissingSubscriptionRegistration" | "NoRegisteredProviderFound" => {
            let namespace = match doing.contains("configuration") {
                true => "Microsoft.KubernetesConfiguration",
                false => "Microsoft.Kubernetes",
            };
            format!("register it: az provider register --namespace {namespace}")
        }
        "SubscriptionNotFound" | "InvalidSubscriptionId" => {
            "check the subscription in cluster.id, and cloud.name".into()
        }
        "ResourceGroupNotFound" => "make the resource group, or correct cluster.id".into(),
        "ResourceNotFound" => "run arclet connect: the cluster has no resource in Azure".into(),
        "InvalidAuthenticationToken" | "InvalidAuthenticationTokenTenant" | "AuthenticationFailed" => {
            "check identity.tenant and cloud.name".into()
        }
        "ScopeLocked" => "remove the lock on the resource or its group".into(),
        "RequestDisallowedByPolicy" => "ask who owns the Azure Policy that is named in the message".into(),
        "LocationNotAvailableForResourceType" | "InvalidResourceLocation" => {
            "choose another cluster.location".into()
        }
        _ => return None,
    })
}
