//! What names a thing in a registry: `oci://host[:port]/repository:tag` or `…@sha256:…`.
//!
//! Names are checked letter by letter, as they become part of an address; nothing is sent from here.

use crate::core::Reason;
use crate::core::document::Digest;
use crate::http::is_loopback;

/// Characters of a repository's name, as the distribution specification has it with its host.
const MOST_NAME: usize = 255;
/// Characters of a tag (distribution specification).
const MOST_TAG: usize = 128;

/// A repository of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `https://host[:port]`, without a slash at its end.
    pub(super) base: String,
    /// `charts/foo`.
    pub(super) name: String,
}

/// Which of a repository's manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// What a tag points to now.
    Tag(String),
    /// This one and no other.
    Digest(Digest),
}

/// A manifest of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where it is.
    pub repository: Repository,
    /// Which one it is.
    pub which: Which,
}

impl Which {
    /// The digest that is meant, where it is one.
    pub(super) fn digest(&self) -> Option<Digest> {
        match self {
            Which::Tag(_) => None,
            Which::Digest(digest) => Some(*digest),
        }
    }
}

impl Repository {
    /// Reads `oci://host[:port]/name`; `oci+http://` is for a registry on this machine.
    pub fn parse(text: &str) -> Result<Repository, Reason> {
        let bad = |what: &str| {
            Reason::new("BadReference", format!("{} names no repository: {what}", super::shown(text)))
                .cure("write it as oci://host/repository, in lower case")
        };
        let (scheme, rest) = match text.split_once("://") {
            Some(("oci", rest)) => ("https", rest),
            Some(("oci+http", rest)) => ("http", rest),
            _ => return Err(bad("it does not begin with oci://")),
        };
        let (host, name) = rest.split_once('/').ok_or_else(|| bad("there is nothing after the host"))?;
        let named = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
        let url = format!("{scheme}://{host}/");
        let parsed = url.parse::<crate::http::http::Uri>().ok();
        let Some(parsed) = parsed.filter(|url| url.host().is_some_and(|h| !h.is_empty())) else {
            return Err(bad("it has no host"));
        };
        // A port that is no number is an authority all the same.
        let port = host.rsplit_once(']').map_or(host, |(_, rest)| rest).contains(':');
        if !host.bytes().all(named) || port != parsed.port_u16().is_some() {
            return Err(bad("its host is no host and port"));
        }
        if scheme == "http" && !parsed.host().is_some_and(is_loopback) {
            return Err(bad("oci+http:// is for a registry on this machine only"));
        }
        let word = |word: &str| {
            let (first, last) = (word.bytes().next(), word.bytes().last());
            let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
            ends(first) && ends(last) && word.bytes().all(inner)
        };
        if host.len() + name.len() > MOST_NAME || !name.split('/').all(word) {
            return Err(bad("a repository has parts of a-z, 0-9, '.', '_' and '-', between slashes"));
        }
        Ok(Repository { base: format!("{scheme}://{host}"), name: name.to_owned() })
    }

    /// The manifest of a tag.
    pub fn tagged(&self, tag: &str) -> Result<Reference, Reason> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let first = tag.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !first || tag.len() > MOST_TAG || !tag.bytes().all(plain) {
            let text = format!("{} cannot be a tag of {self}", super::shown(tag));
            return Err(Reason::new("BadReference", text)
                .cure("a tag has up to 128 letters, digits, '.', '_' and '-'; a chart's + is written as _"));
        }
        Ok(Reference { repository: self.clone(), which: Which::Tag(tag.to_owned()) })
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        self.base.split_once("://").map_or("", |(_, host)| host)
    }

    /// What a token for reading it is asked with.
    pub(super) fn scope(&self) -> String {
        format!("repository:{}:pull", self.name)
    }
}

impl Reference {
    /// Reads `oci://host/name:tag` or `oci://host/name@sha256:…`; of a tag with a digest the digest counts.
    pub fn parse(text: &str) -> Result<Reference, Reason> {
        let (rest, hash) = match text.split_once('@') {
            Some((rest, hash)) => (rest, Some(hash)),
            None => (text, None),
        };
        // What is behind the last slash may have a tag; what is before it may have a port.
        let start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (path, last) = rest.split_at(start);
        let (last, tag) = match last.split_once(':') {
            Some((last, tag)) => (last, Some(tag)),
            None => (last, None),
        };
        let repository = Repository::parse(&format!("{path}{last}"))?;
        let tagged = tag.map(|tag| repository.tagged(tag)).transpose()?;
        match (hash, tagged) {
            (Some(hash), _) => match Digest::parse(hash) {
                Some(digest) => Ok(Reference { repository, which: Which::Digest(digest) }),
                None => Err(Reason::new(
                    "BadReference",
                    format!("{} of {repository} is no digest", super::shown(hash)),
                )
                .cure("write it as sha256: and 64 hexadecimal digits in lower case")),
            },
            (None, Some(tagged)) => Ok(tagged),
            (None, None) => {
                Err(Reason::new("BadReference", format!("{repository} has neither a tag nor a digest"))
                    .cure("add :tag or @sha256:… to it"))
            }
        }
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.base.starts_with("http:") { "oci+http" } else { "oci" };
        write!(f, "{scheme}://{}/{}", self.host(), self.name)
    }
}

impl std::fmt::Display for Which {
    /// As it stands in an address: the tag, or `sha256:…`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Which::Tag(tag) => f.write_str(tag),
            Which::Digest(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if matches!(self.which, Which::Tag(_)) { ':' } else { '@' };
        write!(f, "{}{mark}{}", self.repository, self.which)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "fc11d6f28e59d3cc33c0b14ceb644bf0902ebd63d61218dffe9e7dac7c254542";

    #[test]
    fn a_reference_has_host_repository_and_tag_or_digest_and_is_shown_as_it_was_written() {
        for text in [
            "oci://mcr.microsoft.com/charts/foo:1.2.3".to_owned(),
            "oci://127.0.0.1:5000/a:latest".to_owned(),
            "oci://[::1]:5000/a/b.c/d_e:v1_2".to_owned(),
            "oci+http://localhost:5000/a:1".to_owned(),
            format!("oci://h.example/a@sha256:{HEX}"),
        ] {
            assert_eq!(Reference::parse(&text).unwrap().to_string(), text);
        }
        let both = Reference::parse(&format!("oci://h:1/a:1.0@sha256:{HEX}")).unwrap();
        assert_eq!(both.which, Which::Digest(Digest::parse(&format!("sha256:{HEX}")).unwrap()));
        assert_eq!((both.repository.host(), both.repository.scope()), ("h:1", "repository:a:pull".into()));
    }

    #[test]
    fn what_is_no_reference_is_named_and_says_how_to_write_one() {
        let long = format!("oci://h/{}:1", "a/".repeat(200) + "a");
        let upper = format!("oci://h/a@sha256:{}", HEX.to_uppercase());
        for text in [
            "",
            "a:1",
            "https://h/a:1",
            "oci://",
            "oci://h",
            "oci://h/",
            "oci:///a:1",
            "oci://h/a",
            "oci://h/a:",
            "oci://h/a:-1",
            "oci://h/a:1/2",
            "oci://h/A:1",
            "oci://h/a//b:1",
            "oci://h/../b:1",
            "oci://h/a:1?x=1",
            "oci://h/a b:1",
            "oci://u:p@h/a:1",
            "oci://h:x/a:1",
            "oci://h:99999/a:1",
            "oci://h/a@sha256:12",
            "oci+http://h.example/a:1",
            &long,
            &upper,
        ] {
            let reason = Reference::parse(text).unwrap_err();
            assert_eq!(reason.code, "BadReference", "{text}");
            assert!(!reason.next_step.is_empty(), "{text}");
        }
    }
}
