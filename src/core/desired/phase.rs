//! How a document is said to fare. A fluxConfiguration has the words of its life, and beside them the picture in Azure's
//! words; of an extension people expect to read whether it is installed.

use super::*;
use crate::core::document::{Compliance, Kind};

impl Document {
    /// The word for where it is: that of its life, or for an extension `pending`, `installing`, `succeeded`, `failed`.
    pub(super) fn phase(&self, kind: Kind) -> &'static str {
        match (kind, &self.life, self.picture().map(|picture| picture.compliance)) {
            (Kind::Extension, Life::Stored, _) => "pending",
            (Kind::Extension, _, Some(Compliance::NonCompliant)) => "failed",
            (Kind::Extension, _, Some(Compliance::Compliant)) => "succeeded",
            (Kind::Extension, _, Some(_)) => "installing",
            (_, life, _) => life.name(),
        }
    }

    /// Why it is not as it is wanted. The parts of a configuration speak for themselves, in its picture; an extension has one,
    /// and what that says is the extension's.
    pub(super) fn trouble(&self, kind: Kind) -> Option<Reason> {
        let said = || {
            let status = self.picture().filter(|_| kind == Kind::Extension)?.statuses.first()?;
            let bad = [Compliance::NonCompliant, Compliance::Unknown].contains(&status.compliance);
            status.ready.clone().filter(|_| bad)
        };
        self.reason().or_else(said)
    }
}
