//! Which tokens are at hand, and when to get new ones. The secrets themselves never come here.
//!
//! Tokens are renewed when they are needed, not on a timer: a link that has nothing to send costs nothing.

use super::{Mono, Scope, Validity};
use std::time::Duration;

/// What can be said of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Use it.
    Good,
    /// Use it, and get a new one.
    Ageing,
    /// There is none that would be accepted; get one, with these claims.
    Missing(Option<String>),
}

/// The token of one scope.
#[derive(Clone, Debug)]
enum Token {
    None { claims: Option<String> },
    Held { renew: Mono, until: Mono },
}

/// The tokens of all scopes.
#[derive(Clone, Debug)]
pub struct Tokens([Token; Scope::ALL.len()]);

impl Tokens {
    /// None at hand.
    pub fn new() -> Tokens {
        Tokens(Scope::ALL.map(|_| Token::None { claims: None }))
    }

    /// A token has come. False if it is of no use: it expires before it could be sent.
    pub fn got(&mut self, now: Mono, scope: Scope, validity: Validity) -> bool {
        let margin = MARGIN.min(validity.valid_for / 4);
        let until = now + (validity.valid_for - margin);
        let renew = now + validity.refresh_in.unwrap_or(validity.valid_for / 2);
        if until <= now {
            self.0[scope as usize] = Token::None { claims: None };
            return false;
        }
        self.0[scope as usize] = Token::Held { renew: renew.min(until), until };
        true
    }

    /// The other side does not accept it.
    pub fn rejected(&mut self, scope: Scope, claims: Option<String>) {
        self.0[scope as usize] = Token::None { claims };
    }

    /// The one for this scope.
    pub fn standing(&self, now: Mono, scope: Scope) -> Standing {
        match &self.0[scope as usize] {
            Token::None { claims } => Standing::Missing(claims.clone()),
            Token::Held { until, .. } if *until <= now => Standing::Missing(None),
            Token::Held { renew, .. } if *renew <= now => Standing::Ageing,
            Token::Held { .. } => Standing::Good,
        }
    }
}

/// A token is not used in its last moments: the call takes time, and the authority's clock is another one.
const MARGIN: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: fn(u64) -> Mono = |s| Mono(s * 1_000);

    fn validity(valid_for: u64, refresh_in: Option<u64>) -> Validity {
        Validity {
            valid_for: Duration::from_secs(valid_for),
            refresh_in: refresh_in.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_token_is_used_then_renewed_while_it_is_used_then_missing() {
        let mut tokens = Tokens::new();
        assert_eq!(tokens.standing(SECOND(0), Scope::Monitor), Standing::Missing(None));
        assert!(tokens.got(SECOND(0), Scope::Monitor, validity(3_600, None)));
        assert_eq!(tokens.standing(SECOND(1_799), Scope::Monitor), Standing::Good);
        assert_eq!(tokens.standing(SECOND(1_800), Scope::Monitor), Standing::Ageing);
        assert_eq!(tokens.standing(SECOND(3_480), Scope::Monitor), Standing::Missing(None));
        assert_eq!(tokens.standing(SECOND(0), Scope::Arm), Standing::Missing(None), "scopes are apart");
        assert!(tokens.got(SECOND(0), Scope::Arm, validity(86_400, Some(43_000))));
        assert_eq!(tokens.standing(SECOND(42_999), Scope::Arm), Standing::Good);
    }

    #[test]
    fn a_rejected_token_is_missing_with_the_claims_to_ask_with() {
        let mut tokens = Tokens::new();
        tokens.got(SECOND(0), Scope::Monitor, validity(3_600, None));
        tokens.rejected(Scope::Monitor, Some("{}".into()));
        assert_eq!(tokens.standing(SECOND(1), Scope::Monitor), Standing::Missing(Some("{}".into())));
    }

    #[test]
    fn a_token_that_is_born_expired_is_of_no_use() {
        assert!(!Tokens::new().got(SECOND(9), Scope::Arm, validity(0, Some(10))));
    }
}
