//! The tokens at hand: the newest of each scope, and their sealed copy for the next start.

use crate::azure::{Token, TokenCache};
use crate::clock::Clock;
use crate::core::{Scope, Validity};
use zeroize::Zeroizing;

/// A token on its way into a request: wiped afterwards, not shown by Debug.
pub type Bearer = Zeroizing<String>;

/// The cache, and whose tokens it holds.
pub struct Tokens {
    cache: TokenCache,
    account: String,
    clock: Clock,
}

impl Tokens {
    /// What an earlier process kept, as far as it is of the same account and still good.
    pub fn restore(content: Option<Vec<u8>>, account: String, clock: Clock) -> Self {
        let content = Zeroizing::new(content.unwrap_or_default());
        Tokens { cache: TokenCache::from_bytes(&content, &account, &clock), account, clock }
    }

    /// What is left of each token's life, for the core.
    pub fn validities(&self) -> Vec<(Scope, Validity)> {
        let now = self.clock.now().mono;
        let left = |scope| Some((scope, self.cache.validity(scope, now)?));
        Scope::ALL.into_iter().filter_map(left).collect()
    }

    /// Keeps a token that has just come; it replaces the one of its scope.
    pub fn keep(&mut self, scope: Scope, token: Token) -> Validity {
        let validity = token.validity();
        self.cache.put(scope, token, self.clock.now().mono);
        validity
    }

    /// The token for a call.
    pub fn get(&self, scope: Scope) -> Option<Bearer> {
        self.cache.get(scope, self.clock.now().mono).map(|text| Zeroizing::new(text.to_owned()))
    }

    /// For the store, which seals it.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.cache.to_bytes(&self.account, &self.clock)
    }

    /// The configuration was read again: another account's tokens are of no use.
    pub fn belong_to(&mut self, account: String) {
        if account != self.account {
            self.cache = TokenCache::new();
            self.account = account;
        }
    }
}
