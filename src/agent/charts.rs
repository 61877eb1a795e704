//! The chart of an extension: which one it is to be, and its coming into the cache.
//!
//! The last good one stays until there is a better one: what the catalogue lacks and what a registry does not give is a
//! reason to be shown, and never one to touch what runs.

use super::supply::{Fetched, Held};
use crate::core::document::{Digest, Supply};
use crate::core::{Outcome, Reason};
use crate::scenario::extensions::{Catalogue, Chart, Choice, Extension, Offers, Platform, choose};
use zeroize::Zeroizing;

/// Chooses by the catalogue, and fetches what is not in the cache. An error is the registry's or its link's, and then
/// nothing has changed.
pub fn fetch(
    content: &[u8],
    held: &Held,
    catalogue: Result<Catalogue, Reason>,
    platform: &Platform<'_>,
    get: impl FnOnce(&str, &Digest) -> Result<Result<Vec<u8>, Reason>, Outcome>,
) -> Result<Fetched, Outcome> {
    let kept = |trouble| Ok(Fetched::Kept { asked: false, trouble });
    // Rendering says what is wrong with it.
    let Ok(extension) = Extension::read(content) else { return kept(None) };
    let has = held.get(Supply::Chart).and_then(Chart::from_bytes);
    // Whatever comes of the rest: what is said for the chart that runs is what it runs with from now on.
    let said_for_it = has.as_ref().filter(|has| has.may_be_what_is_wanted(&extension));
    if let Some(renewed) = said_for_it.and_then(|has| has.renewed(&extension)) {
        return Ok(Fetched::Renewed(renewed.to_bytes()));
    }
    // What does not run here is not to be chosen: whoever knows comes first, and once there are versions this is asked again.
    let Some(offers) = held.get(Supply::Versions).map(Offers::from_bytes) else { return kept(None) };
    let catalogue = match catalogue {
        Ok(catalogue) => catalogue,
        Err(reason) => return kept(Some(reason)),
    };
    let (entry, lag) = match choose(&extension, &catalogue, has.as_ref(), &offers, platform) {
        Ok((Choice::Take(entry), lag)) => (entry, lag),
        Ok((Choice::Keep, lag)) => return kept(lag),
        Err(reason) => return kept(Some(reason)),
    };
    if has.is_some_and(|has| has.is(entry)) {
        return kept(lag);
    }
    Ok(match get(&entry.location, &entry.digest)? {
        Ok(bytes) => Fetched::New(Chart::new(entry, &bytes, &extension).to_bytes(), lag),
        Err(reason) => Fetched::Kept { asked: true, trouble: Some(reason) },
    })
}

/// What Azure lists as versions, for the cache. A type that it does not know has none, and the catalogue alone decides.
pub fn versions(held: Option<&[u8]>, listed: Result<Offers, Reason>) -> Fetched {
    let (offers, trouble) = match listed {
        Ok(offers) => (offers, None),
        Err(reason) if reason.code == "ResourceNotFound" => (Offers::default(), None),
        // What is known already stays known.
        Err(reason) if held.is_some() => return Fetched::Kept { asked: true, trouble: Some(reason) },
        Err(reason) => (Offers::default(), Some(reason)),
    };
    // Texts: there is nothing in here that could fail to serialise.
    let bytes = serde_json::to_vec(&offers).unwrap_or_default();
    match held == Some(bytes.as_slice()) {
        true => Fetched::Kept { asked: true, trouble },
        false => Fetched::New(Zeroizing::new(bytes), trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::extensions::Offer;
    use serde_json::json;

    const PLATFORM: Platform<'_> = Platform { version: "v1.36.3+k3s1", distribution: "k3s" };

    fn document(version: Option<&str>) -> Vec<u8> {
        let properties = json!({"extensionType": "a.b", "version": version});
        json!({"name": "mon", "properties": properties}).to_string().into_bytes()
    }

    /// Versions of `a.b`; the bytes of a chart are its version.
    fn catalogue(versions: &[&str]) -> Result<Catalogue, Reason> {
        let entry = |version: &&str| {
            let digest = Digest::of(version.as_bytes());
            format!(
                "[[chart]]\ntype = \"a.b\"\nversion = \"{version}\"\nchart = \"oci://x.example/b:{version}\"\n\
                 digest = \"sha256:{digest}\"\n"
            )
        };
        Catalogue::parse(&versions.iter().map(entry).collect::<String>())
    }

    fn held(chart: Option<&[u8]>) -> Held {
        let none = serde_json::to_vec(&Offers::default()).unwrap();
        Held::with(&[(Supply::Versions, Some(&none)), (Supply::Chart, chart)])
    }

    fn gives(location: &str, _: &Digest) -> Result<Result<Vec<u8>, Reason>, Outcome> {
        Ok(Ok(location.rsplit(':').next().unwrap().as_bytes().to_vec()))
    }

    fn nobody_asks(location: &str, _: &Digest) -> Result<Result<Vec<u8>, Reason>, Outcome> {
        panic!("{location} was asked for")
    }

    fn new(fetched: Result<Fetched, Outcome>) -> Zeroizing<Vec<u8>> {
        match fetched {
            Ok(Fetched::New(bytes, _)) => bytes,
            _ => panic!("nothing new"),
        }
    }

    /// Whether a registry was asked, and what is wrong.
    fn kept(fetched: Result<Fetched, Outcome>) -> (bool, Option<String>) {
        match fetched {
            Ok(Fetched::Kept { asked, trouble }) => (asked, trouble.map(|reason| reason.code)),
            _ => panic!("not kept"),
        }
    }

    #[test]
    fn a_chart_is_fetched_once_and_again_when_another_one_is_chosen() {
        let first = new(fetch(&document(None), &held(None), catalogue(&["1.0.0"]), &PLATFORM, gives));
        assert_eq!(Chart::from_bytes(&first).unwrap().bytes, b"1.0.0");
        let has = held(Some(&first));
        let again = fetch(&document(None), &has, catalogue(&["1.0.0"]), &PLATFORM, nobody_asks);
        assert_eq!(kept(again), (false, None));
        let next = new(fetch(&document(None), &has, catalogue(&["1.0.0", "1.1.0"]), &PLATFORM, gives));
        assert_eq!(Chart::from_bytes(&next).unwrap().version, "1.1.0");
        // The same version under another digest is another chart.
        let moved = catalogue(&["1.0.0"]).map(|_| {
            let digest = Digest::of(b"other");
            format!("[[chart]]\ntype = \"a.b\"\nversion = \"1.0.0\"\nchart = \"oci://x.example/b:other\"\ndigest = \"sha256:{digest}\"\n")
        });
        let moved = new(fetch(&document(None), &has, Catalogue::parse(&moved.unwrap()), &PLATFORM, gives));
        assert_eq!(Chart::from_bytes(&moved).unwrap().bytes, b"other");
    }

    #[test]
    fn what_the_extension_says_is_kept_with_its_chart_before_anybody_is_asked() {
        let said = |version: Option<&str>, site: &str| -> Vec<u8> {
            let properties =
                json!({"extensionType": "a.b", "version": version, "configurationSettings": {"site": site}});
            json!({"name": "mon", "properties": properties}).to_string().into_bytes()
        };
        let site = |bytes: &[u8]| Chart::from_bytes(bytes).unwrap().run.unwrap().settings[0].1.to_owned();
        let all = || catalogue(&["1.0.0", "1.1.0", "2.0.0"]);
        let first = new(fetch(&said(Some("1.0.0"), "17"), &held(None), all(), &PLATFORM, gives));
        assert_eq!(site(&first), "17");
        // Also where the catalogue has the chart no more, cannot be read, or has a newer one, and without Azure's versions.
        let blind = Held::with(&[(Supply::Chart, Some(&first))]);
        for (has, catalogue) in [
            (held(Some(&first)), all()),
            (held(Some(&first)), catalogue(&["2.0.0"])),
            (held(Some(&first)), Catalogue::parse("x")),
            (blind, all()),
        ] {
            for version in [Some("1.0.0"), None] {
                match fetch(&said(version, "18"), &has, catalogue.clone(), &PLATFORM, nobody_asks) {
                    Ok(Fetched::Renewed(bytes)) => assert_eq!(site(&bytes), "18"),
                    _ => panic!("what it runs with was not kept"),
                }
            }
        }
        // Said for another chart, which cannot be had.
        let has = held(Some(&first));
        let lacks = |_: &str, _: &Digest| Ok(Err(Reason::new("WrongDigest", "not the one")));
        let refused = fetch(&said(Some("2.0.0"), "18"), &has, all(), &PLATFORM, lacks);
        assert_eq!(kept(refused), (true, Some("WrongDigest".into())));
        let missing = fetch(&said(Some("3.0.0"), "18"), &has, all(), &PLATFORM, nobody_asks);
        assert_eq!(kept(missing), (false, Some("NotInCatalogue".into())));
    }

    #[test]
    fn what_cannot_be_had_leaves_the_last_good_chart_and_says_why() {
        let first = new(fetch(&document(None), &held(None), catalogue(&["1.0.0"]), &PLATFORM, gives));
        let has = held(Some(&first));
        let lacks = |_: &str, _: &Digest| Ok(Err(Reason::new("WrongDigest", "not the one")));
        let refused = fetch(&document(None), &has, catalogue(&["1.1.0"]), &PLATFORM, lacks);
        assert_eq!(kept(refused), (true, Some("WrongDigest".into())));
        let missing = fetch(&document(Some("2.0.0")), &has, catalogue(&["1.0.0"]), &PLATFORM, nobody_asks);
        assert_eq!(kept(missing), (false, Some("NotInCatalogue".into())));
        let broken = fetch(&document(None), &has, Catalogue::parse("x"), &PLATFORM, nobody_asks);
        assert_eq!(kept(broken), (false, Some("BadCatalogue".into())));
        let emptied = fetch(&document(None), &has, catalogue(&[]), &PLATFORM, nobody_asks);
        assert_eq!(kept(emptied), (false, None));
        let away = || Outcome::Unreachable(Reason::new("Timeout", "too slow"));
        let down = fetch(&document(None), &has, catalogue(&["1.1.0"]), &PLATFORM, |_, _| Err(away()));
        assert_eq!(down.map(|_| ()).unwrap_err(), away());
    }

    #[test]
    fn nothing_is_chosen_before_the_versions_are_known() {
        let blind = fetch(&document(None), &Held::default(), catalogue(&["1.0.0"]), &PLATFORM, nobody_asks);
        assert_eq!(kept(blind), (false, None));
    }

    #[test]
    fn versions_are_kept_and_a_type_that_azure_does_not_know_has_none() {
        let offers = || Offers(vec![Offer { version: "1.0.0".into(), unsupported: Vec::new() }]);
        let bytes = new(Ok(versions(None, Ok(offers()))));
        assert_eq!(Offers::from_bytes(&bytes), offers());
        assert_eq!(kept(Ok(versions(Some(&bytes), Ok(offers())))), (true, None));
        let unknown = || Err(Reason::new("ResourceNotFound", "no such type"));
        assert_eq!(Offers::from_bytes(&new(Ok(versions(None, unknown())))), Offers::default());
        // Who may not look knows what is known, and goes on without if nothing is.
        let forbidden = || Err(Reason::new("AuthorizationFailed", "no"));
        assert_eq!(kept(Ok(versions(Some(&bytes), forbidden()))), (true, Some("AuthorizationFailed".into())));
        assert!(matches!(versions(None, forbidden()), Fetched::New(_, Some(_))));
    }
}
