//! What an operator should look at, until it is healed: one condition per thing, with the time since when.

use super::port::ConditionView;
use super::{Now, Reason};

/// The conditions that hold.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Vec<ConditionView>);

impl Conditions {
    /// Something is wrong with `about`. Since when stays while it is wrong in the same way.
    pub fn raise(&mut self, now: Now, about: &str, reason: Reason) {
        match self.0.iter_mut().find(|c| c.about == about) {
            Some(known) => {
                if known.reason.code != reason.code {
                    known.since = now;
                }
                known.reason = reason;
            }
            None => self.0.push(ConditionView { since: now, about: about.to_owned(), reason }),
        }
    }

    /// It is healed.
    pub fn clear(&mut self, about: &str) {
        self.0.retain(|c| c.about != about);
    }

    /// Whether something is wrong with `about`.
    pub fn holds(&self, about: &str) -> bool {
        self.0.iter().any(|c| c.about == about)
    }

    /// All, in the order in which they were first raised.
    pub fn all(&self) -> &[ConditionView] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::at;

    #[test]
    fn a_condition_keeps_its_since_while_its_code_stays_and_ends_when_it_is_cleared() {
        let mut conditions = Conditions::default();
        conditions.raise(at(1), "store", Reason::new("Full", "1 GB of 1 GB"));
        conditions.raise(at(2), "store", Reason::new("Full", "1 GB of 1 GB, still"));
        conditions.raise(at(3), "login", Reason::new("AADSTS700016", "unknown application"));
        assert_eq!(conditions.all().iter().map(|c| c.since.mono.0).collect::<Vec<_>>(), [1_000, 3_000]);
        assert_eq!(conditions.all()[0].reason.message, "1 GB of 1 GB, still");
        conditions.raise(at(4), "store", Reason::new("Io", "bad sector"));
        assert_eq!(conditions.all()[0].since.mono.0, 4_000);
        conditions.clear("store");
        assert_eq!(conditions.all().len(), 1);
    }
}
