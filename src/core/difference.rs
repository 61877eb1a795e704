//! How the cluster differs from what a document wants, object by object and field by field, as `arclet desired diff`
//! shows it. Values of Secrets have no place in here: of them it is only said that they differ.

use super::Reason;
use super::document::ObjectRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is the matter with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Difference {
    /// It is there and ours; the next look sets its fields right.
    Differs,
    /// It is wanted and not there.
    Missing,
    /// Somebody else made it: arclet applies without force, and never removes it.
    Foreign,
    /// arclet made it, and nothing wants it any more.
    LeftOver,
    /// It is being deleted; the reason says what that waits for.
    Leaving,
    /// It cannot be compared; the reason has the API server's words.
    Refused,
}

impl Difference {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Difference::Differs => "differs",
            Difference::Missing => "is missing",
            Difference::Foreign => "is somebody else's",
            Difference::LeftOver => "is left over",
            Difference::Leaving => "is being deleted",
            Difference::Refused => "cannot be compared",
        }
    }
}

/// An object of which there is something to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectDiff {
    /// Which.
    pub object: ObjectRef,
    /// What is the matter.
    pub difference: Difference,
    /// Why, where the API server or the object says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The fields that an apply would change, in the order of their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDiff>,
    /// How many fields more there are.
    #[serde(default)]
    pub more_fields: usize,
}

impl ObjectDiff {
    /// Whether the object is not as it is wanted. What is somebody else's may well be.
    pub fn counts(&self) -> bool {
        self.difference != Difference::Foreign || !self.fields.is_empty() || self.reason.is_some()
    }
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldDiff {
    /// `spec.interval`, `spec.dependsOn[0].name`, `metadata.labels["app.kubernetes.io/name"]`.
    pub path: String,
    /// What an apply would leave there; absent: nothing. Long values are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Value>,
    /// What is there; absent: nothing. Long values are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has: Option<Value>,
    /// Who owns the field now, as the API server noted it, if that is not arclet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// It is a Secret's: that it differs is all that is known of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}
