//! What happens when: three outages, one kill -9 and desired state that changes, as fractions of the run.

use crate::wish::Deed;
use crate::wish::scene::{BRANCHES, VERSIONS};
use std::time::Duration;

/// A step of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Cut the link to all of Azure.
    Cut,
    /// Restore it.
    Restore,
    /// SIGKILL to the agent, then start it again.
    Kill,
    /// Something about desired state.
    Do(Deed),
}

/// The steps of a run of this length, in order of time. The kill falls into the second outage, where the backlog is
/// what must survive it; the last quarter is left for the drain. In the same outage somebody breaks the cluster and wants
/// something new of Azure: the first is set right without the link, the second comes with it.
pub fn steps(length: Duration) -> Vec<(Duration, Step)> {
    [
        (0.03, Step::Do(Deed::Want(BRANCHES[0]))),
        (0.05, Step::Do(Deed::Install(VERSIONS[0]))),
        (0.08, Step::Do(Deed::Squat)),
        (0.12, Step::Cut),
        (0.15, Step::Do(Deed::Edit)),
        (0.18, Step::Do(Deed::Uninstall)),
        (0.22, Step::Restore),
        (0.28, Step::Do(Deed::Yield)),
        (0.34, Step::Cut),
        (0.40, Step::Kill),
        (0.41, Step::Do(Deed::Break)),
        (0.46, Step::Do(Deed::Want(BRANCHES[1]))),
        (0.47, Step::Do(Deed::Install(VERSIONS[1]))),
        (0.50, Step::Restore),
        (0.60, Step::Cut),
        (0.72, Step::Restore),
        (0.76, Step::Do(Deed::Delete)),
    ]
    .into_iter()
    .map(|(at, step)| (length.mul_f64(at), step))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_is_restored_and_the_kill_falls_into_an_outage() {
        let mut cut = false;
        let mut outages = 0;
        for (_, step) in steps(Duration::from_secs(30)) {
            match step {
                Step::Cut => {
                    assert!(!cut);
                    cut = true;
                    outages += 1;
                }
                Step::Restore => {
                    assert!(cut);
                    cut = false;
                }
                Step::Kill | Step::Do(Deed::Edit | Deed::Break | Deed::Uninstall) => assert!(cut),
                Step::Do(Deed::Want(branch)) => assert_eq!(cut, branch != BRANCHES[0]),
                Step::Do(Deed::Install(version)) => assert_eq!(cut, version != VERSIONS[0]),
                Step::Do(Deed::Squat | Deed::Yield | Deed::Delete) => assert!(!cut),
            }
        }
        assert!(!cut && outages >= 3);
    }
}
