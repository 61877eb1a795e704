//! GitOps: a fluxConfiguration of Azure becomes objects of Flux, and what Flux says of them becomes Azure's picture.
//!
//! Pure functions from bytes to objects and back: no I/O, no clock, and no memory of what was there before. Which objects
//! have to go is decided by whoever remembers what it made, from the difference of two lists.
//!
//! ```text
//!     document      what a configuration says as a whole: name, namespace, scope, which source
//!     versions      which API versions to write
//!     git bucket oci            one file a source           auth       what may go into a Secret and what is missing
//!     kustomizations            options and their order     tenancy    namespace, and the limits of namespace scope
//!     stamp         the label and annotations of all        picture    live objects → compliance
//! ```
//!
//! A document that is not understood in full is a [`Reason`] and no objects at all: half of a configuration with
//! `prune` removes the other half. Fields that are not known are passed over (a newer api-version adds some all the
//! time), values that are not known are not, for they change the meaning of a field that is.

mod auth;
mod bucket;
mod document;
mod git;
mod kustomizations;
mod oci;
mod picture;
mod releases;
mod stamp;
mod tenancy;
#[cfg(test)]
mod tests;
mod versions;

pub use releases::{HELM_GROUP, MOST_RELEASES, Release, Seen, releases};

use crate::core::Reason;
use crate::core::document::{Picture, Served};
use crate::scenario::supplies::{Naming, SecretWanted, Supplies};
use document::Document;
use serde_json::Value;

/// On every object: `app.kubernetes.io/managed-by: arclet`.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "arclet";
/// The annotation that names the document an object was made for: `flux/cluster-config`.
pub const DOCUMENT: &str = "arclet.dev/document";
/// The annotation, `"true"`, of what is made if it is absent, is otherwise left as it is, and is never removed: a
/// namespace. Others put things into it, and deleting it would delete those too.
pub const KEEP: &str = "arclet.dev/keep";

/// The words that [`render`]'s reasons are recognised by.
pub mod code {
    pub use crate::scenario::fields::code::*;

    /// `dependsOn` names a kustomization that the document does not have.
    pub const UNKNOWN_DEPENDENCY: &str = "UnknownDependency";
    /// Kustomizations wait for each other in a circle.
    pub const DEPENDENCY_CYCLE: &str = "DependencyCycle";
    /// ARM does not give secrets back, and no Key Vault is configured; without one this source cannot be read.
    pub const SECRET_NEEDS_KEY_VAULT: &str = "SecretNeedsKeyVault";
    /// `localAuthRef` names a whole Secret, and another field asks for something beside it.
    pub const CONFLICTING_AUTH: &str = "ConflictingAuth";
    /// The API server serves no Flux.
    pub const FLUX_MISSING: &str = "FluxMissing";
    /// Flux is there, but its version lacks what the document asks for.
    pub const FLUX_TOO_OLD: &str = "FluxTooOld";
}

/// The objects of a configuration in the order in which they are to be made: the namespace (with [`KEEP`]), the service
/// account and its binding in namespace scope, Secrets, the source, kustomizations after those they depend on.
///
/// `content` is the stored document: `{"id", "name", "properties": {…}}` as ARM writes them; `supplies` has what was
/// fetched for it. No reason has a secret or a URL in its text.
pub fn render(content: &[u8], served: &Served, supplies: &Supplies) -> Result<Vec<Value>, Reason> {
    let document = Document::read(content)?;
    let versions = versions::Versions::choose(&document, served)?;
    let source = document.source(&versions, supplies)?;
    let kustomizations = kustomizations::render(&document, &versions)?;

    let mut objects = tenancy::render(&document);
    objects.extend(source.secrets);
    objects.push(source.object);
    objects.extend(kustomizations);
    for object in &mut objects {
        stamp::stamp(object, &document);
    }
    Ok(objects)
}

/// The secrets that a configuration needs from the vault. One that [`render`] refuses needs none.
pub fn needs(content: &[u8], naming: &Naming) -> Vec<SecretWanted> {
    let wanted = |document: Document| Ok(document.access()?.wanted(&document, naming));
    Document::read(content).and_then(wanted).unwrap_or_default()
}

/// What the live objects say of a configuration, in ARM's words. `live` are the objects as the API server returned them,
/// in any order; others among them are passed over; `releases` what came of looking at those of [`releases()`]. A document
/// that [`render`] refuses has no objects: `Unknown`.
pub fn picture(content: &[u8], live: &[Value], releases: &[(Release, Seen)]) -> Picture {
    picture::picture(content, live, releases)
}
