//! The kinds of documents that a cluster has, and what differs between them on the wire.

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `fluxConfigurations`.
    Flux,
    /// `extensions`.
    Extension,
}

impl Kind {
    /// The kind whose name in paths this is, in lower case.
    pub fn of(segment: &str) -> Option<Kind> {
        [Kind::Flux, Kind::Extension].into_iter().find(|k| k.plural().eq_ignore_ascii_case(segment))
    }

    /// Its name in paths.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Flux => "fluxConfigurations",
            Kind::Extension => "extensions",
        }
    }

    /// Its resource type.
    pub fn type_name(self) -> &'static str {
        match self {
            Kind::Flux => "Microsoft.KubernetesConfiguration/fluxConfigurations",
            Kind::Extension => "Microsoft.KubernetesConfiguration/extensions",
        }
    }

    /// Stable api-versions (azure-arm.md 4 and 5; the older ones are in public recordings).
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Kind::Flux => &["2022-03-01", "2022-11-01", "2023-05-01", "2024-11-01", "2025-04-01"],
            Kind::Extension => &["2022-03-01", "2022-11-01", "2023-05-01", "2024-11-01", "2025-03-01"],
        }
    }

    /// What a PUT may set of `properties`; the rest is read-only or unknown and is not stored.
    pub fn writable(self) -> &'static [&'static str] {
        match self {
            Kind::Flux => &[
                "scope",
                "namespace",
                "sourceKind",
                "suspend",
                "gitRepository",
                "bucket",
                "azureBlob",
                "ociRepository",
                "kustomizations",
                "configurationProtectedSettings",
                "waitForReconciliation",
                "reconciliationWaitDuration",
            ],
            Kind::Extension => &[
                "extensionType",
                "autoUpgradeMinorVersion",
                "autoUpgradeMode",
                "releaseTrain",
                "version",
                "scope",
                "configurationSettings",
                "configurationProtectedSettings",
                "aksAssignedIdentity",
                "managementDetails",
                "additionalDetails",
            ],
        }
    }

    /// What a PATCH may have of `properties`.
    pub fn patchable(self) -> &'static [&'static str] {
        match self {
            Kind::Flux => &[
                "sourceKind",
                "suspend",
                "gitRepository",
                "bucket",
                "azureBlob",
                "ociRepository",
                "kustomizations",
                "configurationProtectedSettings",
            ],
            Kind::Extension => &[
                "autoUpgradeMinorVersion",
                "autoUpgradeMode",
                "releaseTrain",
                "version",
                "configurationSettings",
                "configurationProtectedSettings",
            ],
        }
    }

    /// What stays as it was made, of `properties`.
    pub fn create_only(self) -> &'static [&'static str] {
        match self {
            Kind::Flux => &["scope", "namespace"],
            Kind::Extension => &["scope", "extensionType"],
        }
    }
}
