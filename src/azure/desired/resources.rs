//! ARM as a source of documents: the cluster's fluxConfigurations, page by page.
//!
//! A listing decides about deletion, so it is believed only when all of it is in ARM's form: each page a 200 with an array,
//! each item a child of this very cluster, each next page on ARM's own host. Anything else is an error, never a shorter list.
//! Wire facts: Microsoft.KubernetesConfiguration, fluxConfigurations and extensions.

use super::page::{self, Item};
use super::{Fetched, Source, canonical};
use crate::azure::arm::{API, Arm, is_absent, refused};
use crate::azure::resource_id::is_name;
use crate::azure::{ResourceId, error, lro};
use crate::core::document::{Confirmation, Digest, Key, Kind, Kinds, Parent};
use crate::core::{Outcome, Reason};
use crate::http::{Response, http::Method};
use std::collections::BTreeSet;

const LISTING: &str = "listing the cluster's configurations";
const READING: &str = "reading a configuration";
/// Bytes of one page. It is read document by document.
const MOST_PAGE: usize = 16 << 20;
/// Pages of one listing.
const MOST_PAGES: usize = 1000;

/// The children of a connected cluster in ARM, as one token sees them.
#[derive(Clone, Copy)]
pub struct Resources<'a> {
    /// ARM.
    pub arm: &'a Arm,
    /// Whose children.
    pub cluster: &'a ResourceId,
    /// Which sorts of them.
    pub kinds: Kinds,
    /// For ARM.
    pub token: &'a str,
}

impl Source for Resources<'_> {
    fn documents(&self, take: &mut dyn FnMut(Fetched)) -> Result<(), Outcome> {
        self.arm.documents(self.cluster, self.kinds, self.token, take).map(|_| ())
    }

    fn parent(&self) -> Result<Parent, Outcome> {
        self.arm.parent(self.cluster, self.token)
    }
}

impl Arm {
    /// Hands on every document of the cluster, and returns how many items there were. Memory holds one document.
    ///
    /// # Errors
    /// Every answer that is not a complete listing; what was handed on before is then not all there is.
    pub fn documents(
        &self,
        cluster: &ResourceId,
        kinds: Kinds,
        token: &str,
        take: &mut dyn FnMut(Fetched),
    ) -> Result<usize, Outcome> {
        let on = Kind::ALL.into_iter().filter(|kind| kinds.has(*kind));
        on.into_iter().try_fold(0, |sum, kind| Ok(sum + self.collection(cluster, kind, token, take)?))
    }

    /// Whether a document that listings lack is gone: only if ARM says so of it while its cluster is there.
    pub fn confirm(&self, cluster: &ResourceId, key: &Key, token: &str) -> Result<Confirmation, Outcome> {
        if !is_name(&key.name) {
            let text = format!("{key} is no name of a resource");
            return Err(Outcome::Refused(Reason::new("BadResourceId", text)));
        }
        let id = format!("{}/{}", collection(cluster, key.kind), key.name);
        let url = self.url(&id, version(key.kind));
        let response = self.send(self.request(Method::GET, &url, token).max_body(MOST_PAGE))?;
        let absent = is_absent(&response, "ResourceNotFound");
        // What holds it may be what is gone: the parent's own answer tells.
        let above = ["ParentResourceNotFound", "ResourceGroupNotFound"];
        if !absent && !above.into_iter().any(|code| is_absent(&response, code)) {
            there(&id, &response)?;
        }
        // Asked for afterwards: a parent that is the same one as ever was there when its child was not.
        let parent = self.parent(cluster, token)?;
        Ok(Confirmation { gone: absent && parent != Parent::Gone, parent })
    }

    /// Whether the cluster's own resource is there, and which one it is.
    pub fn parent(&self, cluster: &ResourceId, token: &str) -> Result<Parent, Outcome> {
        let response = self.send(self.request(Method::GET, &self.cluster_url(cluster), token))?;
        if ["ResourceNotFound", "ResourceGroupNotFound"].into_iter().any(|code| is_absent(&response, code)) {
            return Ok(Parent::Gone);
        }
        let read = self.read_cluster(cluster, &response)?;
        match read.system_data.created_at.filter(|time| !time.is_empty()) {
            Some(created_at) => Ok(Parent::There { created_at }),
            None => Err(Outcome::Refused(
                Reason::new("NoCreationTime", format!("{API} does not say when {cluster} was made"))
                    .cure("nothing is withdrawn: without it this cluster cannot be told from an earlier one"),
            )),
        }
    }

    fn collection(
        &self,
        cluster: &ResourceId,
        kind: Kind,
        token: &str,
        take: &mut dyn FnMut(Fetched),
    ) -> Result<usize, Outcome> {
        let collection = collection(cluster, kind);
        let (mut count, mut next, mut seen) = (0, self.url(&collection, version(kind)), BTreeSet::new());
        for number in 1..=MOST_PAGES {
            if !seen.insert(Digest::of(next.as_bytes())) {
                return Err(bad(number, "is one that has been read already: the list has no end"));
            }
            let (mut read, mut stranger) = (None, false);
            let mut each = |item: Item| match key_of(&collection, kind, &item) {
                Some(key) if !stranger => {
                    take(canonical::fetched(key, &collection, item.properties));
                    count += 1;
                }
                _ => stranger = true,
            };
            let request = self.request(Method::GET, &next, token).max_body(MOST_PAGE);
            let response = self.stream(request, &mut |body| read = page::read(body, &mut each))?;
            if response.status != 200 {
                return Err(refused(LISTING, &response));
            }
            let page = read.ok_or_else(|| Outcome::Refused(error::nonsense(API, &response)))?;
            if stranger {
                return Err(bad(number, "holds an item that is no child of this cluster"));
            }
            next = match page.next_link.filter(|link| !link.is_empty()) {
                None => return Ok(count),
                Some(link) if self.owns(&link) => link,
                Some(link) => return Err(Outcome::Refused(lro::foreign(&link))),
            };
        }
        Err(bad(MOST_PAGES, "is not the last: the list has no end"))
    }
}

/// The api-version of a kind: the newest stable one of each.
const fn version(kind: Kind) -> &'static str {
    match kind {
        Kind::Flux => "2025-04-01",
        Kind::Extension => "2025-03-01",
    }
}

/// The id of what holds a cluster's documents of a kind.
fn collection(cluster: &ResourceId, kind: Kind) -> String {
    let name = match kind {
        Kind::Flux => "fluxConfigurations",
        Kind::Extension => "extensions",
    };
    format!("{cluster}/providers/Microsoft.KubernetesConfiguration/{name}")
}

/// An item's key, if it is a child of this cluster and says so itself.
fn key_of(collection: &str, kind: Kind, item: &Item) -> Option<Key> {
    let Item { id, name, properties } = item;
    let is_child = is_name(name) && id.eq_ignore_ascii_case(&format!("{collection}/{name}"));
    (is_child && properties.get().starts_with('{')).then(|| Key::new(kind, name))
}

/// A resource is there only if the answer is that resource.
fn there(id: &str, response: &Response) -> Result<(), Outcome> {
    if response.status != 200 {
        return Err(refused(READING, response));
    }
    let item: Option<Item> = serde_json::from_slice(&response.body).ok();
    match item {
        Some(item) if item.id.eq_ignore_ascii_case(id) => Ok(()),
        _ => Err(Outcome::Refused(error::nonsense(API, response))),
    }
}

fn bad(page: usize, what: &str) -> Outcome {
    Outcome::Refused(
        Reason::new("NotAListing", format!("{API}, {LISTING}: page {page} {what}"))
            .cure("nothing is withdrawn by it; check that no proxy answers in Azure's place"),
    )
}
