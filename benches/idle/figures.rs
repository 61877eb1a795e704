//! What a process costs, from /proc: memory, wake-ups, processor time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A process that is watched.
pub struct Watched(PathBuf);

/// Counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    at: Instant,
    /// Voluntary context switches of all threads that live: each is one wake-up.
    wakeups: u64,
    /// User and system time, in clock ticks.
    ticks: u64,
}

/// What happened between two samples.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Wake-ups a second.
    pub wakeups: f64,
    /// Percent of one processor.
    pub cpu: f64,
}

impl Watched {
    /// The process with this id.
    pub fn new(pid: u32) -> Self {
        Watched(PathBuf::from(format!("/proc/{pid}")))
    }

    /// Proportional set size in KiB: what the process adds to the memory that is used.
    pub fn pss_kib(&self) -> u64 {
        field(&self.read("smaps_rollup"), "Pss:")
    }

    /// The most resident memory there ever was, in KiB.
    pub fn peak_kib(&self) -> u64 {
        field(&self.read("status"), "VmHWM:")
    }

    /// Bytes that were written to files.
    pub fn written(&self) -> u64 {
        field(&self.read("io"), "wchar:")
    }

    /// Threads that live.
    pub fn threads(&self) -> u64 {
        field(&self.read("status"), "Threads:")
    }

    /// The counters now.
    pub fn sample(&self) -> Sample {
        let tasks = std::fs::read_dir(self.0.join("task")).expect("the process lives");
        let wakeups = tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok())
            .map(|status| field(&status, "voluntary_ctxt_switches:"))
            .sum();
        let stat = self.read("stat");
        // The name is in brackets and may hold blanks; utime and stime are the 12th and 13th field after it.
        let numbers: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|n| n.parse().unwrap_or(0))
            .collect();
        Sample { at: Instant::now(), wakeups, ticks: numbers[11] + numbers[12] }
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).expect("the process lives")
    }
}

impl Sample {
    /// From this sample to a later one.
    pub fn until(&self, later: Sample) -> Rate {
        let seconds = later.at.duration_since(self.at).max(Duration::from_millis(1)).as_secs_f64();
        // A thread that ended in between took its count with it.
        let wakeups = later.wakeups.saturating_sub(self.wakeups) as f64 / seconds;
        let cpu = (later.ticks - self.ticks) as f64 / TICKS_PER_SECOND / seconds * 100.0;
        Rate { wakeups, cpu }
    }
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// USER_HZ, 100 on every architecture that Rust runs Linux on.
const TICKS_PER_SECOND: f64 = 100.0;
