//! The small reads: subscriptions, resource groups, provider registration, permissions, data collection rules.

use super::Call;
use crate::state::State;
use crate::wire::{Answer, Question};
use serde_json::{Value, json};

/// `GET /metadata/endpoints`, without a token. An object, not an array: a single cloud answers.
pub fn endpoints(state: &State, question: &Question) -> Answer {
    let arm = format!("{}/", question.base);
    Answer::json(
        200,
        json!({
            "name": "StandIn", "resourceManager": arm, "portal": arm, "graphAudience": arm, "graph": arm,
            "authentication": { "loginEndpoint": format!("https://{}/", state.login), "audiences": ["https://management.azure.com", "https://management.core.windows.net"], "tenant": state.tenant, "identityProvider": "AAD" },
            "suffixes": { "relayEndpointSuffix": "servicebus.windows.net", "keyVaultDns": "vault.azure.net", "storage": "core.windows.net" },
            "dataplaneEndpoints": {},
        }),
    )
}

fn described(state: &State) -> Value {
    let id = &state.subscription;
    json!({ "id": format!("/subscriptions/{id}"), "subscriptionId": id, "tenantId": state.tenant, "displayName": "Stand-in", "state": "Enabled",
            "subscriptionPolicies": { "spendingLimit": "Off" }, "authorizationSource": "RoleBased", "managedByTenants": [] })
}

/// `GET /subscriptions`.
pub fn subscriptions(state: &State) -> Answer {
    Answer::json(200, json!({ "value": [described(state)], "count": { "type": "Total", "value": 1 } }))
}

/// `GET /subscriptions/{s}`.
pub fn subscription(state: &State, call: &Call<'_>) -> Result<Answer, Answer> {
    call.require("Microsoft.Resources/subscriptions/read", &call.question.path)?;
    Ok(Answer::json(200, described(state)))
}

/// `GET /subscriptions/{s}/providers/{namespace}`.
pub fn provider(state: &State, call: &Call<'_>, namespace: &str) -> Result<Answer, Answer> {
    // Whoever has any role in the subscription may look at its providers.
    if call.principal.roles.is_empty() {
        call.require("Microsoft.Resources/subscriptions/providers/read", &call.question.path)?;
    }
    match state.providers.get(namespace) {
        Some((name, registration)) => Ok(Answer::json(
            200,
            json!({
                "id": format!("/subscriptions/{}/providers/{name}", state.subscription), "namespace": name,
                "registrationPolicy": "RegistrationRequired", "registrationState": registration, "resourceTypes": [],
            }),
        )),
        None => Err(Answer::error(
            404,
            "InvalidResourceNamespace",
            &format!("The resource namespace '{namespace}' is invalid."),
        )),
    }
}

/// `GET …/resourceGroups/{g}`.
pub fn group(state: &State, call: &Call<'_>, group: &str) -> Result<Answer, Answer> {
    call.require("Microsoft.Resources/subscriptions/resourceGroups/read", &call.question.path)?;
    match state.groups.get(group) {
        Some((name, location)) => Ok(Answer::json(
            200,
            json!({
                "id": format!("/subscriptions/{}/resourceGroups/{name}", state.subscription), "name": name,
                "type": "Microsoft.Resources/resourceGroups", "location": location, "properties": { "provisioningState": "Succeeded" },
            }),
        )),
        None => Err(Answer::error(
            404,
            "ResourceGroupNotFound",
            &format!("Resource group '{group}' could not be found."),
        )),
    }
}

/// `GET {scope}/providers/Microsoft.Authorization/permissions`: what the caller may do there.
pub fn permissions(_state: &State, call: &Call<'_>) -> Result<Answer, Answer> {
    let scope = &call.question.path
        [..call.question.path.to_lowercase().find("/providers/microsoft.authorization").unwrap_or_default()];
    call.require("Microsoft.Authorization/permissions/read", scope)?;
    let roles = call.principal.roles.iter().filter(|role| {
        let (outer, inner) = (role.scope.to_lowercase(), scope.to_lowercase());
        inner == outer || inner.starts_with(&format!("{outer}/"))
    });
    let value: Vec<Value> = roles
        .map(|role| json!({ "actions": role.actions, "notActions": [], "dataActions": role.data_actions, "notDataActions": [] }))
        .collect();
    Ok(Answer::json(200, json!({ "value": value })))
}

/// `GET …/dataCollectionRules/{name}`.
pub fn rule(state: &State, call: &Call<'_>) -> Result<Answer, Answer> {
    call.require("Microsoft.Insights/dataCollectionRules/read", &call.question.path)?;
    if !call.question.path.eq_ignore_ascii_case(&state.ingestion.rule) {
        return Err(Answer::error(404, "ResourceNotFound", "The data collection rule was not found."));
    }
    let name = call.segments.last().cloned().unwrap_or_default();
    let there =
        state.template.streams().filter(|(stream, _)| !state.ingestion.missing_streams.contains(stream));
    let declared: serde_json::Map<String, Value> = there
        .map(|(stream, columns)| {
            let columns: Vec<Value> =
                columns.iter().map(|(n, kind)| json!({ "name": n, "type": kind })).collect();
            (stream.clone(), json!({ "columns": columns }))
        })
        .collect();
    Ok(Answer::json(
        200,
        json!({
            "id": state.ingestion.rule, "name": name, "kind": "Direct", "location": "eastus", "type": "Microsoft.Insights/dataCollectionRules",
            "properties": { "immutableId": state.ingestion.immutable_id, "provisioningState": "Succeeded", "endpoints": { "logsIngestion": state.ingestion_url() }, "streamDeclarations": declared },
        }),
    ))
}
