//! A document's secrets: which of the vault's are new, and what is wrong with those that cannot be had.
//!
//! The last good value of each stays until there is a newer one: what the vault no longer gives is a reason to be shown and
//! never one to take it out of the cluster, where whoever reads it would stop.

use super::supply::Fetched;
use crate::azure::vault::{Secret, code};
use crate::core::{Outcome, Reason};
use crate::scenario::supplies::{SecretWanted, Secrets};

/// Asks the vault for each secret that is wanted, and compares with what the cache holds by its version. An error is the
/// vault's or its link's, and then nothing has changed.
pub fn fetch(
    wanted: &[SecretWanted],
    held: Option<&[u8]>,
    get: impl Fn(&str) -> Result<Result<Secret, Reason>, Outcome>,
) -> Result<Fetched, Outcome> {
    // It changed since it was known what it needs, perhaps into one that nobody understands: what it needed may be needed again
    // before the vault can be asked.
    if wanted.is_empty() {
        return Ok(Fetched::Kept { asked: false, trouble: None });
    }
    let mut secrets = held.map(Secrets::from_bytes).unwrap_or_default();
    // What the document no longer asks for is not kept.
    let mut changed = secrets.retain(wanted);
    let mut trouble: Option<Reason> = None;
    for SecretWanted { vault_name, optional, .. } in wanted {
        match get(vault_name)? {
            Ok(secret) if secrets.version(vault_name) == Some(secret.version.as_str()) => {}
            Ok(secret) => {
                secrets.keep(vault_name, secret.version, secret.value);
                changed = true;
            }
            Err(reason)
                if *optional && reason.code == code::MISSING && secrets.version(vault_name).is_none() => {}
            Err(reason) => {
                let _ = trouble.get_or_insert(reason);
            }
        }
    }
    Ok(match changed {
        true => Fetched::New(secrets.to_bytes(), trouble),
        false => Fetched::Kept { asked: true, trouble },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn wanted(name: &str, optional: bool) -> SecretWanted {
        SecretWanted { field: "httpsKey", vault_name: name.to_owned(), optional }
    }

    fn secret(version: &str) -> Result<Result<Secret, Reason>, Outcome> {
        let value = Zeroizing::new(format!("value {version}"));
        Ok(Ok(Secret { value, version: version.to_owned(), not_before: None, expires: None }))
    }

    fn missing() -> Result<Result<Secret, Reason>, Outcome> {
        Ok(Err(Reason::new(code::MISSING, "no secret")))
    }

    fn new(fetched: Fetched) -> (Zeroizing<Vec<u8>>, Option<Reason>) {
        match fetched {
            Fetched::New(bytes, trouble) => (bytes, trouble),
            Fetched::Kept { .. } | Fetched::Renewed(..) => panic!("nothing new"),
        }
    }

    fn kept(fetched: Fetched) -> (bool, Option<Reason>) {
        match fetched {
            Fetched::Kept { asked, trouble } => (asked, trouble),
            Fetched::New(..) | Fetched::Renewed(..) => panic!("something new"),
        }
    }

    #[test]
    fn another_version_is_a_change_and_the_same_one_is_not() {
        let all = [wanted("a", false)];
        let (bytes, trouble) = new(fetch(&all, None, |_| secret("1")).unwrap());
        assert_eq!(trouble, None);
        assert_eq!(kept(fetch(&all, Some(&bytes), |_| secret("1")).unwrap()), (true, None));
        let (bytes, _) = new(fetch(&all, Some(&bytes), |_| secret("2")).unwrap());
        assert_eq!(*Secrets::from_bytes(&bytes).into_values()["a"], "value 2");
    }

    #[test]
    fn what_the_vault_no_longer_gives_stays_and_is_shown() {
        for optional in [false, true] {
            let all = [wanted("a", optional), wanted("b", false)];
            let (bytes, _) = new(fetch(&all, None, |_| secret("1")).unwrap());
            let after = |name: &str| if name == "a" { missing() } else { secret("2") };
            let (bytes, trouble) = new(fetch(&all, Some(&bytes), after).unwrap());
            assert_eq!(trouble.unwrap().code, code::MISSING);
            let values = Secrets::from_bytes(&bytes).into_values();
            assert_eq!((values["a"].as_str(), values["b"].as_str()), ("value 1", "value 2"));
        }
    }

    #[test]
    fn what_may_be_absent_is_no_trouble_and_what_is_not_wanted_any_more_goes() {
        assert_eq!(kept(fetch(&[wanted("a", true)], None, |_| missing()).unwrap()), (true, None));
        let (bytes, _) = new(fetch(&[wanted("a", false)], None, |_| secret("1")).unwrap());
        let (bytes, _) = new(fetch(&[wanted("b", true)], Some(&bytes), |_| missing()).unwrap());
        assert!(Secrets::from_bytes(&bytes).into_values().is_empty());
    }

    #[test]
    fn while_a_document_is_not_understood_its_secrets_stay_for_when_it_is_again() {
        let (bytes, _) = new(fetch(&[wanted("a", false)], None, |_| secret("1")).unwrap());
        assert_eq!(kept(fetch(&[], Some(&bytes), |_| panic!("nobody is asked")).unwrap()), (false, None));
    }

    #[test]
    fn a_vault_that_cannot_be_asked_changes_nothing() {
        let away = || Outcome::Unreachable(Reason::new("Timeout", "too slow"));
        let all = [wanted("a", false), wanted("b", false)];
        let half = |name: &str| if name == "a" { secret("1") } else { Err(away()) };
        assert_eq!(fetch(&all, None, half).map(|_| ()).unwrap_err(), away());
    }
}
