//! Tokens that registries give to anybody who may read: asked for where a registry's challenge says, if that is a place
//! that may be asked, and kept in memory until they expire.
//!
//! Nothing of this device is sent: no identity, no token of Azure. What needs a login is refused in words.

use super::reference::Repository;
use super::{Fault, MISSING_RIGHTS, detail, follows, shown};
use crate::azure::error::{self, parameter};
use crate::clock::Clock;
use crate::core::{Mono, Reason};
use crate::http::{Client, Request, Response, escaped};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

const DEADLINE: Duration = Duration::from_secs(30);
const MOST_BODY: usize = 64 << 10;
/// What a token's life is where nothing is said, and the least that it is (distribution token specification).
const USUAL: u64 = 60;
/// No token is believed to live longer, in seconds.
const LONGEST: u64 = 3600;
/// Not used any more so long before its end: a request takes its time.
const MARGIN: Duration = Duration::from_secs(10);
/// Characters of a token; it must fit in a header.
const MOST_TOKEN: usize = 8 << 10;
/// Repositories whose tokens are kept; the oldest one goes.
const MOST_KEPT: usize = 16;

/// The tokens that are held.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Vec<Held>>);

struct Held {
    repository: Repository,
    token: Zeroizing<String>,
    until: Mono,
}

impl Tokens {
    /// The token for a repository, while it may be used.
    pub(super) fn get(&self, repository: &Repository, now: Mono) -> Option<Zeroizing<String>> {
        let mut held = self.held();
        held.retain(|held| now + MARGIN < held.until);
        held.iter().find(|held| held.repository == *repository).map(|held| held.token.clone())
    }

    /// Drops one that was not accepted.
    pub(super) fn forget(&self, repository: &Repository) {
        self.held().retain(|held| held.repository != *repository);
    }

    /// Asks for a token as the challenge of a 401 wants it.
    pub(super) fn ask(
        &self,
        client: &Client,
        clock: &Clock,
        repository: &Repository,
        refused: &Response,
    ) -> Result<Zeroizing<String>, Fault> {
        let login = |what: String| {
            Fault::Own(
                Reason::new("Forbidden", format!("{repository} is not for everybody: {what}"))
                    .cure(MISSING_RIGHTS),
            )
        };
        let bearer = |challenge: &&str| challenge.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("bearer "));
        let Some(challenge) = refused.header_all("www-authenticate").find(bearer) else {
            return Err(login("it wants a login that is no token".into()));
        };
        let realm = parameter(challenge, "realm").unwrap_or_default();
        if !follows(&repository.base, realm) {
            let text =
                format!("{repository} sends for its token to {}, which may not be asked", shown(realm));
            return Err(Fault::Own(Reason::new("BadRealm", text).cure(
                "check the registry's set-up: the realm of its challenge has to be an https address",
            )));
        }
        let mut url = realm.to_owned();
        url.push(if realm.contains('?') { '&' } else { '?' });
        if let Some(service) = parameter(challenge, "service") {
            url += &format!("service={}&", escaped(service));
        }
        let scope = parameter(challenge, "scope").map_or_else(|| repository.scope(), str::to_owned);
        url += &format!("scope={}", escaped(&scope));
        let request =
            Request::get(url).header("Accept", "application/json").deadline(DEADLINE).max_body(MOST_BODY);
        let asked = clock.now().mono;
        let mut response = client.call(&request).map_err(|failure| Fault::Link(failure.into()))?;
        let read = match response.status {
            200 => read(&response.body),
            400 | 401 | 403 | 404 => {
                return Err(login(format!(
                    "no token for {}: status {}{}",
                    shown(&scope),
                    response.status,
                    detail(&response)
                )));
            }
            _ => {
                let api = format!("the token service of {}", repository.host());
                return Err(Fault::Link(error::outcome(&api, "asking for a token", &response, |_, _| None)));
            }
        };
        let Some((token, seconds)) = read else {
            let api = format!("the token service of {}", repository.host());
            return Err(Fault::Link(crate::core::Outcome::Refused(error::nonsense(&api, &response))));
        };
        response.body.zeroize();
        let mut held = self.held();
        held.retain(|held| held.repository != *repository);
        if held.len() >= MOST_KEPT {
            held.remove(0);
        }
        let until = asked + Duration::from_secs(seconds);
        held.push(Held { repository: repository.clone(), token: token.clone(), until });
        Ok(token)
    }

    /// A panic while it is held leaves whole entries.
    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token and for how many seconds it is good.
fn read(body: &[u8]) -> Option<(Zeroizing<String>, u64)> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        token: Option<&'a str>,
        access_token: Option<&'a str>,
        expires_in: Option<u64>,
    }
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let token = answer.token.or(answer.access_token)?;
    let plain = !token.is_empty() && token.len() <= MOST_TOKEN && token.bytes().all(|b| b.is_ascii_graphic());
    plain
        .then(|| (Zeroizing::new(token.to_owned()), answer.expires_in.unwrap_or(USUAL).clamp(USUAL, LONGEST)))
}
