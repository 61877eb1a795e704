//! The newest token of each scope, and when to renew it. Times are monotonic, so that a jump of the wall clock neither
//! kills a good token nor keeps a dead one.
//!
//! The cache may go through a restart as bytes. They hold the secrets: whoever stores them seals them first.

use super::identity::Token;
use crate::clock::Clock;
use crate::core::{Mono, Scope, Validity};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

/// Renewed so long before the end, unless the authority says otherwise (as Microsoft's own clients do).
const EARLY: Duration = Duration::from_secs(300);
/// Not used any more so long before the end: a request takes its time.
const MARGIN: Duration = Duration::from_secs(30);
/// First byte of the serialised form.
const VERSION: u8 = 1;

/// Tokens by scope.
#[derive(Default)]
pub struct TokenCache {
    entries: Vec<Entry>,
}

struct Entry {
    scope: Scope,
    secret: Zeroizing<String>,
    expires: Mono,
    refresh: Mono,
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|e| (e.scope, e.expires))).finish()
    }
}

impl TokenCache {
    /// An empty cache.
    pub fn new() -> TokenCache {
        TokenCache::default()
    }

    /// Keeps a token that arrived `now`; it replaces the one of the same scope.
    pub fn put(&mut self, scope: Scope, token: Token, now: Mono) {
        // Short-lived tokens are renewed half-way.
        let usual = token.valid_for.saturating_sub(EARLY).max(token.valid_for / 2);
        let refresh = now + token.refresh_in.filter(|r| *r < token.valid_for).unwrap_or(usual);
        self.forget(scope);
        self.entries.push(Entry { scope, secret: token.secret, expires: now + token.valid_for, refresh });
    }

    /// The token, while it may be used.
    pub fn get(&self, scope: Scope, now: Mono) -> Option<&str> {
        self.entry(scope, now).map(|entry| entry.secret.as_str())
    }

    /// Whether to fetch a new one, though the old one may still be usable meanwhile.
    pub fn needs_refresh(&self, scope: Scope, now: Mono) -> bool {
        self.entry(scope, now).is_none_or(|entry| now >= entry.refresh)
    }

    /// What is left of a token's life, for the core.
    pub fn validity(&self, scope: Scope, now: Mono) -> Option<Validity> {
        let entry = self.entry(scope, now)?;
        Some(Validity { valid_for: entry.expires.since(now), refresh_in: Some(entry.refresh.since(now)) })
    }

    /// Drops a token that was not accepted.
    pub fn forget(&mut self, scope: Scope) {
        self.entries.retain(|entry| entry.scope != scope);
    }

    fn entry(&self, scope: Scope, now: Mono) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.scope == scope && now + MARGIN < entry.expires)
    }

    /// For the next start. Seal it: it holds the tokens. `account` says whose they are (see [`account`]).
    pub fn to_bytes(&self, account: &str, clock: &Clock) -> Zeroizing<Vec<u8>> {
        let (now, wall_ms) = (clock.now().mono, clock.best_wall_ms());
        let tokens = self.entries.iter().map(|entry| SavedToken {
            scope: entry.scope as u8,
            secret: &entry.secret,
            expires: entry.expires.0,
            refresh: entry.refresh.0,
        });
        let saved = Saved { boot: clock.boot(), mono: now.0, wall_ms, account, tokens: tokens.collect() };
        let room = self.entries.iter().map(|e| e.secret.len() + 32).sum::<usize>() + account.len() + 64;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        bytes.push(VERSION);
        match postcard::to_extend(&saved, std::mem::take(&mut *bytes)) {
            Ok(done) => Zeroizing::new(done),
            Err(_) => Zeroizing::new(Vec::new()),
        }
    }

    /// What was serialised, without what has expired since. Bytes of another version or account give an empty cache.
    ///
    /// Within one boot the monotonic clock decides. After another boot the best guess at the time of day does, and a clock
    /// that went backwards never gives a token more time than it had left.
    pub fn from_bytes(bytes: &[u8], account: &str, clock: &Clock) -> TokenCache {
        let mut cache = TokenCache::new();
        let Some((&VERSION, rest)) = bytes.split_first() else { return cache };
        let Ok(saved) = postcard::from_bytes::<Saved<'_>>(rest) else { return cache };
        if saved.account != account {
            return cache;
        }
        let now = clock.now().mono;
        let elapsed = match saved.boot == clock.boot() {
            true => now.0.saturating_sub(saved.mono),
            false => clock.best_wall_ms().saturating_sub(saved.wall_ms).max(0) as u64,
        };
        for token in saved.tokens {
            let left =
                |then: u64| Duration::from_millis(then.saturating_sub(saved.mono).saturating_sub(elapsed));
            let Some(scope) = Scope::ALL.into_iter().find(|s| *s as u8 == token.scope) else {
                continue;
            };
            let expires = now + left(token.expires);
            if now + MARGIN < expires {
                let secret = Zeroizing::new(token.secret.to_owned());
                cache.forget(scope);
                cache.entries.push(Entry { scope, secret, expires, refresh: now + left(token.refresh) });
            }
        }
        cache
    }
}

/// Names whose tokens a cache holds, so that tokens of an earlier configuration are not used by the next.
pub fn account(cloud: &super::Cloud, tenant: &str, identity: &str) -> String {
    format!("{} {tenant} {identity} {} {}", cloud.login, cloud.arm_scope, cloud.monitor_scope)
}

#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    boot: [u8; 16],
    mono: u64,
    wall_ms: i64,
    account: &'a str,
    #[serde(borrow)]
    tokens: Vec<SavedToken<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SavedToken<'a> {
    scope: u8,
    secret: &'a str,
    expires: u64,
    refresh: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1_000_000);

    fn token(valid_for: u64, refresh_in: Option<u64>) -> Token {
        Token {
            secret: Zeroizing::new("eyJ.SECRET.x".into()),
            valid_for: Duration::from_secs(valid_for),
            refresh_in: refresh_in.map(Duration::from_secs),
        }
    }

    fn at(seconds: u64) -> Mono {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_renewed_when_the_authority_says_else_five_minutes_early_else_half_way() {
        for (valid_for, refresh_in, renewed_at) in
            [(3600, None, 3300), (86400, Some(43200), 43200), (400, None, 200), (100, Some(200), 50)]
        {
            let mut cache = TokenCache::new();
            cache.put(Scope::Arm, token(valid_for, refresh_in), NOW);
            assert!(!cache.needs_refresh(Scope::Arm, at(renewed_at - 1)), "{valid_for}");
            assert!(cache.needs_refresh(Scope::Arm, at(renewed_at)), "{valid_for}");
            assert!(cache.get(Scope::Arm, at(renewed_at)).is_some());
            assert!(cache.get(Scope::Arm, at(valid_for - 30)).is_none());
            assert!(cache.get(Scope::Monitor, NOW).is_none());
        }
    }

    #[test]
    fn a_forgotten_token_is_not_used_again_and_no_token_is_ever_shown() {
        let mut cache = TokenCache::new();
        cache.put(Scope::Monitor, token(3600, None), NOW);
        assert!(!format!("{cache:?}").contains("SECRET"));
        cache.forget(Scope::Monitor);
        assert_eq!(cache.get(Scope::Monitor, NOW), None);
        assert_eq!(cache.validity(Scope::Monitor, NOW), None);
    }

    #[test]
    fn a_restart_keeps_what_is_left_for_the_same_account_only() {
        let clock = Clock::new();
        let mut cache = TokenCache::new();
        cache.put(Scope::Arm, token(3600, None), clock.now().mono);
        cache.put(Scope::Monitor, token(20, None), clock.now().mono);
        let bytes = cache.to_bytes("a", &clock);
        let back = TokenCache::from_bytes(&bytes, "a", &clock);
        assert_eq!(back.get(Scope::Arm, clock.now().mono), Some("eyJ.SECRET.x"));
        let left = back.validity(Scope::Arm, clock.now().mono).unwrap().valid_for.as_secs();
        assert!((3500..=3600).contains(&left), "{left}");
        assert_eq!(back.get(Scope::Monitor, clock.now().mono), None);
        for (bytes, account) in [(&bytes[..], "b"), (&bytes[..9], "a"), (&[][..], "a"), (&[9, 9][..], "a")] {
            assert!(TokenCache::from_bytes(bytes, account, &clock).entries.is_empty());
        }
    }

    #[test]
    fn another_boot_goes_by_the_time_of_day_and_a_clock_set_back_gives_no_more_time() {
        let clock = Clock::new();
        let saved = |wall_ms| {
            let tokens = vec![SavedToken { scope: 0, secret: "t", expires: 3_600_000, refresh: 3_300_000 }];
            let saved = Saved { boot: [7; 16], mono: 0, wall_ms, account: "a", tokens };
            postcard::to_extend(&saved, vec![VERSION]).unwrap()
        };
        let left = |wall_ms| {
            let cache = TokenCache::from_bytes(&saved(wall_ms), "a", &clock);
            cache.validity(Scope::Arm, clock.now().mono).map(|v| v.valid_for.as_secs())
        };
        let now = clock.best_wall_ms();
        assert!(left(now - 1_800_000).is_some_and(|s| (1700..=1800).contains(&s)));
        assert!(left(now + 86_400_000).is_some_and(|s| (3500..=3600).contains(&s)));
        assert_eq!(left(now - 4_000_000), None);
    }
}
