//! What documents need beside themselves, as rendering takes it: secrets by their names in the Key Vault, and more.
//!
//! Pure: who fetches, stores and seals is elsewhere. No Debug in here, and every value is wiped when it is dropped.

use crate::core::document::Key;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// How the vault's secrets are called: `{prefix}{kind}-{document}-{field}`, where everything but letters, digits and '-'
/// is written as '-', because a vault takes nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// `[desired] key-vault-prefix`: tells clusters apart that share a vault.
    pub prefix: String,
}

impl Naming {
    /// The name of a document's secret; `field` as ARM calls it: `flux-cluster-config-sshPrivateKey`.
    pub fn secret(&self, key: &Key, field: &str) -> String {
        let name = format!("{}{}-{}-{field}", self.prefix, key.kind.name(), key.name);
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    }
}

/// A secret that a document needs from the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretWanted {
    /// ARM's name of it: `httpsKey`.
    pub field: &'static str,
    /// What it is called in the vault.
    pub vault_name: String,
    /// Nothing in the document says that there is one: where the vault has none, the document does without.
    pub optional: bool,
}

/// What was fetched for one document so far.
#[derive(Default)]
pub struct Supplies {
    /// How secrets are called; `None`: no vault is configured.
    pub naming: Option<Naming>,
    /// The last good values, by their names in the vault.
    pub secrets: BTreeMap<String, Zeroizing<String>>,
    /// Which version of each secret that is.
    pub versions: BTreeMap<String, String>,
    /// The chart of an extension, as the cache keeps it.
    pub chart: Option<Vec<u8>>,
}

/// A document's secrets as the cache keeps them, sealed: name in the vault → version and value.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, Kept>);

struct Kept {
    version: String,
    value: Zeroizing<String>,
}

impl Secrets {
    /// What was stored; nothing, if it is not understood: it is fetched again then.
    pub fn from_bytes(bytes: &[u8]) -> Secrets {
        let Some((&FORM, rest)) = bytes.split_first() else { return Secrets::default() };
        let stored: Stored<'_> = postcard::from_bytes(rest).unwrap_or_default();
        let kept = |(version, value): (&str, &str)| Kept {
            version: version.to_owned(),
            value: Zeroizing::new(value.to_owned()),
        };
        Secrets(stored.into_iter().map(|(name, both)| (name.to_owned(), kept(both))).collect())
    }

    /// To be stored, sealed.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let stored: Stored<'_> =
            self.0.iter().map(|(n, k)| (n.as_str(), (k.version.as_str(), k.value.as_str()))).collect();
        let size: usize =
            self.0.iter().map(|(n, kept)| n.len() + kept.version.len() + kept.value.len() + 16).sum();
        // Room for all of it at once: a list that grows leaves copies behind.
        let mut bytes = Vec::with_capacity(size + 16);
        bytes.push(FORM);
        Zeroizing::new(postcard::to_extend(&stored, bytes).unwrap_or_default())
    }

    /// The version that is kept.
    pub fn version(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|kept| kept.version.as_str())
    }

    /// Keeps a value; it replaces the one of the same name.
    pub fn keep(&mut self, name: &str, version: String, value: Zeroizing<String>) {
        self.0.insert(name.to_owned(), Kept { version, value });
    }

    /// Drops all but these. True: something went.
    pub fn retain(&mut self, names: &[SecretWanted]) -> bool {
        let before = self.0.len();
        self.0.retain(|name, _| names.iter().any(|wanted| &wanted.vault_name == name));
        self.0.len() != before
    }

    /// The version of each.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(name, kept)| (name.clone(), kept.version.clone())).collect()
    }

    /// The values, for rendering.
    pub fn into_values(self) -> BTreeMap<String, Zeroizing<String>> {
        self.0.into_iter().map(|(name, kept)| (name, kept.value)).collect()
    }
}

/// Wipes the values of a rendered Secret; other objects are left as they are.
pub fn wipe(object: &mut serde_json::Value) {
    if object["kind"] != "Secret" {
        return;
    }
    for part in ["data", "stringData"] {
        object.get_mut(part).into_iter().for_each(crate::core::wipe::wipe);
    }
}

/// Name → version and value, in the bytes that are stored: nothing is copied on the way.
type Stored<'a> = BTreeMap<&'a str, (&'a str, &'a str)>;

/// First byte of what is stored.
const FORM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::document::Kind;

    fn naming(prefix: &str) -> Naming {
        Naming { prefix: prefix.to_owned() }
    }

    #[test]
    fn a_secrets_name_tells_cluster_kind_document_and_field_and_a_vault_takes_it() {
        let key = Key::new(Kind::Flux, "Cluster-Config");
        assert_eq!(naming("").secret(&key, "sshPrivateKey"), "flux-cluster-config-sshPrivateKey");
        let odd = Key::new(Kind::Flux, "a.b_c/ü");
        assert_eq!(naming("store 17:").secret(&odd, "tls.key"), "store-17-flux-a-b-c---tls-key");
    }

    #[test]
    fn secrets_come_back_from_the_cache_as_they_were_kept() {
        let mut secrets = Secrets::default();
        secrets.keep("a", "1".into(), Zeroizing::new("x\n".into()));
        secrets.keep("b", "2".into(), Zeroizing::new("y".into()));
        let mut back = Secrets::from_bytes(&secrets.to_bytes());
        assert_eq!((back.version("a"), back.version("c")), (Some("1"), None));
        let wanted = [SecretWanted { field: "b", vault_name: "b".into(), optional: false }];
        assert!(back.retain(&wanted) && !back.retain(&wanted));
        let values = back.into_values();
        assert_eq!(
            values.into_iter().map(|(n, v)| (n, v.to_string())).collect::<Vec<_>>(),
            [("b".into(), "y".into())]
        );
        for bytes in [&b""[..], b"\x02abc", b"\x01\xff\xff\xff\xff\xff"] {
            assert_eq!(Secrets::from_bytes(bytes).version("a"), None);
        }
    }

    #[test]
    fn a_wiped_secret_has_its_names_and_no_values() {
        let mut secret =
            serde_json::json!({"kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "x"}});
        wipe(&mut secret);
        assert_eq!(secret, serde_json::json!({"kind": "Secret", "data": {"a": ""}, "stringData": {"b": ""}}));
    }
}
