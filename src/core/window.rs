//! How much of one stream goes at once, and how the record that the server chokes on is found.
//!
//! A refused batch is known to hold at least one record at fault: its first half is tried, then half of what is left
//! of it, until the refused batch is one record. That takes about log2(n) calls, and each accepted part is delivered
//! for good on the way.

/// The window of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    most: (usize, usize),
    records: usize,
    bytes: usize,
    /// So many records from the head on, one of which is at fault.
    suspect: Option<usize>,
    /// Successes until the window may grow again.
    patience: u32,
}

impl Window {
    /// Fully open.
    pub fn new(most_records: usize, most_bytes: usize) -> Window {
        let most = (most_records.max(1), most_bytes.max(1));
        Window { most, records: most.0, bytes: most.1, suspect: None, patience: 0 }
    }

    /// Another size of the fully open window.
    pub fn resize(&mut self, most_records: usize, most_bytes: usize) {
        self.most = (most_records.max(1), most_bytes.max(1));
        self.records = self.records.min(self.most.0);
        self.bytes = self.bytes.min(self.most.1);
    }

    /// Records and bytes of the next batch.
    pub fn next(&self) -> (usize, usize) {
        let records = match self.suspect {
            Some(suspects) => suspects.div_ceil(2).min(self.records),
            None => self.records,
        };
        (records.max(1), self.bytes)
    }

    /// So many records were delivered.
    pub fn delivered(&mut self, records: usize) {
        if let Some(suspects) = self.suspect {
            self.suspect = suspects.checked_sub(records).filter(|left| *left > 0);
            return;
        }
        if self.patience > 0 {
            self.patience -= 1;
            return;
        }
        self.records = (self.records * 2).min(self.most.0);
        self.bytes = (self.bytes * 2).min(self.most.1);
    }

    /// A batch of so many records was refused for one of them. True: it is this one, the only one of the batch.
    pub fn bad(&mut self, records: usize) -> bool {
        self.suspect = (records > 1).then_some(records);
        records <= 1
    }

    /// A batch of so many records was too large. True: the only record of the batch is.
    pub fn too_large(&mut self, records: usize) -> bool {
        self.patience = PATIENCE;
        self.records = (records / 2).max(1);
        self.bytes = (self.bytes / 2).max(1);
        records <= 1
    }

    /// The record at the head is gone: what was said of the batch holds for it alone.
    pub fn set_aside(&mut self) {
        self.suspect = None;
        self.bytes = self.bytes.max(self.most.1 / 64);
    }
}

/// After a batch was too large, so many of the smaller size before a larger one is tried.
const PATIENCE: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers `queue` (true: at fault) and returns what was set aside, by place, and the number of calls.
    fn deliver(mut queue: Vec<(usize, bool)>, window: &mut Window) -> (Vec<usize>, usize) {
        let (mut aside, mut calls) = (Vec::new(), 0);
        while !queue.is_empty() {
            calls += 1;
            assert!(calls < 100_000, "no progress at {window:?}");
            let n = window.next().0.min(queue.len());
            if queue[..n].iter().any(|r| r.1) {
                if window.bad(n) {
                    aside.push(queue.remove(0).0);
                    window.set_aside();
                }
            } else {
                queue.drain(..n);
                window.delivered(n);
            }
        }
        (aside, calls)
    }

    #[test]
    fn exactly_the_records_at_fault_are_found_wherever_they_are() {
        for bad in [vec![0], vec![99], vec![37], vec![0, 1, 2], vec![10, 50, 99], (0..100).collect()] {
            let queue = (0..100).map(|n| (n, bad.contains(&n))).collect();
            let (aside, calls) = deliver(queue, &mut Window::new(100, 1_000));
            assert_eq!(aside, bad);
            assert!(calls <= 2 + bad.len() * 10, "{calls} calls for {}", bad.len());
        }
    }

    #[test]
    fn a_batch_that_is_too_large_is_halved_and_grows_back_with_patience() {
        let mut window = Window::new(64, 6_400);
        assert!(!window.too_large(64));
        assert_eq!(window.next(), (32, 3_200));
        assert!(!window.too_large(32));
        assert_eq!(window.next(), (16, 1_600));
        for _ in 0..PATIENCE {
            window.delivered(16);
            assert_eq!(window.next(), (16, 1_600));
        }
        window.delivered(16);
        assert_eq!(window.next(), (32, 3_200));
        window.delivered(32);
        assert_eq!(window.next(), (64, 6_400));
    }

    #[test]
    fn halving_ends_at_one_record() {
        let mut window = Window::new(5, 100);
        let mut n = 5;
        while !window.too_large(n) {
            n = window.next().0;
        }
        assert_eq!(window.next().0, 1);
        assert!(window.next().1 >= 1);
    }

    #[test]
    fn a_fault_that_vanishes_by_itself_opens_the_window_again() {
        let mut window = Window::new(100, 1_000);
        assert!(!window.bad(100));
        window.delivered(50);
        window.delivered(25);
        window.delivered(25);
        assert_eq!(window.next().0, 100);
    }
}
