//! Which cloud: the addresses and scopes that differ between public Azure, the sovereign clouds and a test stand-in.
//!
//! No other file holds a host name of Azure.

use crate::core::{Reason, Scope};

/// Addresses and scopes of one cloud. Base URLs have no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// As the Azure CLI names it.
    pub name: String,
    /// Microsoft Entra's base URL.
    pub login: String,
    /// Azure Resource Manager's base URL.
    pub arm: String,
    /// What to ask tokens for ARM with.
    pub arm_scope: String,
    /// What to ask tokens for Logs Ingestion with.
    pub monitor_scope: String,
    /// What to ask tokens for Key Vault with.
    pub vault_scope: String,
}

/// name, login, arm, ARM scope, monitor scope, vault scope
type Row = [&'static str; 6];

impl Cloud {
    /// A cloud by the name that the Azure CLI gives it, in any case.
    pub fn by_name(name: &str) -> Result<Cloud, Reason> {
        let row = CLOUDS.iter().find(|row| row[0].eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known: Vec<&str> = CLOUDS.iter().map(|row| row[0]).collect();
            Reason::new("UnknownCloud", format!("there is no cloud named {name:?}"))
                .cure(format!("use one of {}, or give the addresses of your own", known.join(", ")))
        })?;
        let mut cloud = Cloud::custom(row[1], row[2], row[3], row[4]);
        (cloud.name, cloud.vault_scope) = (row[0].to_owned(), row[5].to_owned());
        Ok(cloud)
    }

    /// A cloud with addresses of its own: a private one, or a stand-in for tests.
    pub fn custom(login: &str, arm: &str, arm_scope: &str, monitor_scope: &str) -> Cloud {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Cloud {
            name: "custom".into(),
            login: base(login),
            arm: base(arm),
            arm_scope: arm_scope.to_owned(),
            monitor_scope: monitor_scope.to_owned(),
            vault_scope: CLOUDS[0][5].to_owned(),
        }
    }

    /// The text of a scope.
    pub fn scope(&self, scope: Scope) -> &str {
        match scope {
            Scope::Arm => &self.arm_scope,
            Scope::Monitor => &self.monitor_scope,
            Scope::Vault => &self.vault_scope,
        }
    }

    /// The resource that a scope is of, as HIMDS wants it: without `/.default`.
    pub fn resource(&self, scope: Scope) -> &str {
        let scope = self.scope(scope);
        scope.strip_suffix("/.default").unwrap_or(scope)
    }
}

/// The public cloud as its own clients use it; the others after the documentation and the Python SDK's tables.
const CLOUDS: [Row; 3] = [
    [
        "AzureCloud",
        "https://login.microsoftonline.com",
        "https://management.azure.com",
        "https://management.azure.com/.default",
        "https://monitor.azure.com/.default",
        "https://vault.azure.net/.default",
    ],
    [
        "AzureUSGovernment",
        "https://login.microsoftonline.us",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net/.default",
        "https://monitor.azure.us/.default",
        "https://vault.usgovcloudapi.net/.default",
    ],
    [
        "AzureChinaCloud",
        "https://login.partner.microsoftonline.cn",
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn/.default",
        "https://monitor.azure.cn/.default",
        "https://vault.azure.cn/.default",
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_is_found_in_any_case_and_an_unknown_one_names_those_that_exist() {
        assert_eq!(Cloud::by_name("azurecloud").unwrap().name, "AzureCloud");
        assert!(Cloud::by_name("AzureMoon").unwrap_err().next_step.contains("AzureChinaCloud"));
    }

    #[test]
    fn himds_gets_the_resource_and_entra_the_scope() {
        let cloud = Cloud::by_name("AzureCloud").unwrap();
        assert_eq!(cloud.scope(Scope::Monitor), "https://monitor.azure.com/.default");
        assert_eq!(cloud.resource(Scope::Arm), "https://management.azure.com");
    }
}
