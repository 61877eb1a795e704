//! Azure's public APIs as the agent needs them, one file an API: tokens (`identity`), Resource Manager (`arm`, `lro`,
//! and its children that say what is wanted: `desired`), Logs Ingestion (`ingest`) Key Vault (`vault`) and, beside Azure, the registries
//! that charts and releases come from (`registry`, `releases`).
//!
//! Each client makes blocking calls with a deadline and turns every answer, nonsense included, into the words of
//! [`crate::core::Outcome`]. Nothing in here retries, waits, stores or schedules, and nothing knows the cluster or the store.

pub mod arm;
pub mod cloud;
mod cure;
pub mod desired;
pub mod error;
mod extension_types;
pub mod identity;
pub mod ingest;
pub mod lro;
pub mod onboarding_key;
mod permissions;
pub mod registry;
pub mod releases;
pub mod resource_id;
pub mod resources;
#[cfg(test)]
mod tests;
pub mod token_cache;
pub mod vault;

pub use cloud::Cloud;
pub use identity::{Credential, Identity, Token};
pub use resource_id::ResourceId;
pub use token_cache::TokenCache;

/// A random GUID (version 4) for `x-ms-client-request-id` and `jti`; `None` if the system gives no randomness.
pub(crate) fn guid() -> Option<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let parts = [hex.get(..8)?, hex.get(8..12)?, hex.get(12..16)?, hex.get(16..20)?, hex.get(20..)?];
    Some(parts.join("-"))
}

/// A request of its own name, so that Microsoft's support can find it.
pub(crate) fn named(request: crate::http::Request) -> crate::http::Request {
    match guid() {
        Some(id) => request.header("x-ms-client-request-id", id),
        None => request,
    }
}
