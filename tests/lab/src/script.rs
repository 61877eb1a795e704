//! What happens when: three outages and one kill -9, as fractions of the run.

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
}

/// The steps of a run of this length, in order of time. The kill falls into the second outage, where the backlog is
/// what must survive it; the last quarter is left for the drain.
pub fn steps(length: Duration) -> Vec<(Duration, Step)> {
    [
        (0.12, Step::Cut),
        (0.22, Step::Restore),
        (0.34, Step::Cut),
        (0.40, Step::Kill),
        (0.50, Step::Restore),
        (0.60, Step::Cut),
        (0.72, Step::Restore),
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
                Step::Kill => assert!(cut),
            }
        }
        assert!(!cut && outages >= 3);
    }
}
