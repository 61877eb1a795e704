//! A cluster as Microsoft's own agents leave it: what arclet must not touch.

use crate::wire::{guid, now};
use serde_json::{Value, json};

/// A cluster that Microsoft's own agents serve.
pub fn owned_by_arc(id: &str, tenant: &str) -> Value {
    let name = id.rsplit('/').next().unwrap_or_default();
    json!({
        "id": id, "name": name, "type": "microsoft.kubernetes/connectedclusters", "location": "eastus", "tags": {},
        "identity": { "type": "SystemAssigned", "principalId": guid(), "tenantId": tenant },
        "properties": { "provisioningState": "Succeeded", "connectivityStatus": "Connected", "agentVersion": "1.36.1", "kubernetesVersion": "1.36.3",
            "totalNodeCount": 3, "totalCoreCount": 12, "distribution": "k3s", "infrastructure": "generic", "agentPublicKeyCertificate": "",
            "lastConnectivityTime": now(), "privateLinkState": "Disabled", "azureHybridBenefit": "NotApplicable" },
        "systemData": { "createdAt": now(), "lastModifiedByType": "Application" },
    })
}
