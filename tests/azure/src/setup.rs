//! How the stand-in's directory, subscription and rule are when it starts.

use crate::fault::{Endpoint, Faults};
use crate::principals::{Principal, Role, Tokens};
use crate::state::State;
use crate::{
    DEVICE, ENDPOINTS, GROUP, OPERATOR, Options, RULE, SUBSCRIPTION, TENANT, Template, arm, himds, ingest,
    rule_id, vault, vault_id,
};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

/// The memory of a stand-in that nobody has talked to; `addresses` in the order of [`Endpoint::ALL`].
pub fn state(options: &Options, template: Template, addresses: [SocketAddr; ENDPOINTS]) -> State {
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}");
    let device = Principal::with_secret(
        DEVICE.0,
        DEVICE.1,
        vec![Role::device(&options.cluster), Role::publisher(&rule_id()), Role::secrets_user(&vault_id())],
    );
    let operator = Principal::with_secret(
        OPERATOR.0,
        OPERATOR.1,
        vec![Role::contributor(&group), Role::secrets_officer(&vault_id())],
    );
    let provider = |name: &str| (name.to_lowercase(), (name.to_owned(), "Registered".to_owned()));
    State {
        tenant: TENANT.into(),
        subscription: SUBSCRIPTION.into(),
        audiences: [arm::AUDIENCE, "https://management.core.windows.net", ingest::AUDIENCE, vault::AUDIENCE]
            .map(str::to_owned)
            .to_vec(),
        principals: vec![device, operator],
        tokens: Tokens::default(),
        token_lifetime: options.token_lifetime,
        assertions: HashSet::new(),
        groups: BTreeMap::from([(GROUP.to_owned(), (GROUP.to_owned(), "eastus".to_owned()))]),
        providers: [
            "Microsoft.Kubernetes",
            "Microsoft.KubernetesConfiguration",
            "Microsoft.ExtendedLocation",
            "Microsoft.Insights",
        ]
        .into_iter()
        .map(provider)
        .collect(),
        clusters: arm::clusters::Clusters { polls: 1, ..Default::default() },
        children: Default::default(),
        clock: Default::default(),
        types: Vec::new(),
        vault: vault::Vault::default(),
        registry: Default::default(),
        ingestion: ingest::Ingestion { rule: rule_id(), immutable_id: RULE.into(), ..Default::default() },
        login: addresses[Endpoint::Login as usize],
        ingest: addresses[Endpoint::Ingest as usize],
        template,
        faults: Faults::default(),
        challenge: None,
        page_size: 100,
        buckets: None,
        any_key: options.any_key,
        seen: Vec::new(),
        himds: options.himds.clone().map(|directory| himds::Himds::new(directory, DEVICE.0)),
    }
}
