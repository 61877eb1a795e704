//! Versions as semver.org 2.0 orders them. Of a version's text nothing is lost: it is what registries and Azure call it.

use std::cmp::Ordering;

/// A version: three numbers, perhaps a pre-release, perhaps a build that says nothing about the order.
#[derive(Clone, Debug)]
pub struct Version {
    /// Breaks.
    pub major: u64,
    /// Adds.
    pub minor: u64,
    /// Mends.
    pub patch: u64,
    /// `rc.1`; empty: a release.
    pre: String,
    text: String,
}

impl Version {
    /// Reads `1.2.3`, `v1.2.3`, `1.2.3-rc.1+build`; `None`: it is no version.
    pub fn parse(text: &str) -> Option<Version> {
        let plain = text.strip_prefix('v').unwrap_or(text);
        let (plain, build) = plain.split_once('+').unwrap_or((plain, "0"));
        let (numbers, pre) = match plain.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (plain, None),
        };
        let words = |words: &str| words.split('.').all(is_word);
        let strict = |word: &str| word.parse::<u64>().is_err() || is_number(word);
        if !words(build) || pre.is_some_and(|pre| !words(pre) || !pre.split('.').all(strict)) {
            return None;
        }
        let mut numbers = numbers.split('.').map(|n| is_number(n).then(|| n.parse().ok()).flatten());
        let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let pre = pre.unwrap_or_default().to_owned();
        numbers.next().is_none().then(|| Version { major, minor, patch, pre, text: text.to_owned() })
    }

    /// Not on the way to a release.
    pub fn is_release(&self) -> bool {
        self.pre.is_empty()
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Digits without a leading zero.
fn is_number(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit())
        && (word.len() == 1 || !word.starts_with('0'))
        && !word.is_empty()
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let numbers = |v: &Version| (v.major, v.minor, v.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| match (self.is_release(), other.is_release()) {
            (false, false) => pre(&self.pre, &other.pre),
            (mine, others) => mine.cmp(&others),
        })
    }
}

/// Word by word: numbers by their value and before texts, and what is longer comes later.
fn pre(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        let order = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => match (a.map(rank), b.map(rank)) {
                (Some((a, a_text)), Some((b, b_text))) => match (a, b) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    // Without a number the text decides; a number is less than any text.
                    (None, None) => a_text.cmp(b_text),
                    (a, _) => {
                        if a.is_some() {
                            Ordering::Less
                        } else {
                            Ordering::Greater
                        }
                    }
                },
                (a, _) => {
                    if a.is_none() {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn rank(word: &str) -> (Option<u64>, &str) {
    (word.parse().ok(), word)
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_are_ordered_as_semver_says() {
        let ascending = [
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.10.0",
            "2.0.0",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
            assert!(version(pair[1]) > version(pair[0]), "{pair:?}");
        }
        assert_eq!(version("1.2.3+a"), version("v1.2.3+b"));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in
            ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1.2.3-", "1.2.3-01", "1.2.3+", "latest", "1.2.-3"]
        {
            assert!(Version::parse(text).is_none(), "{text}");
        }
        assert_eq!(version("v1.2.3-rc.1+b").to_string(), "v1.2.3-rc.1+b");
        assert!(!version("1.2.3-0").is_release() && version("1.2.3").is_release());
    }
}
