//! `--ack-log FD`: one line per record that became durable, for those who check that promise.
//!
//! The line goes out after the sync that made the record durable and before the core hears of it. It is one write for
//! each batch, so a process that is killed leaves whole lines (a pipe or file takes up to 4 KiB in one piece).

use crate::core::{MessageId, Reason};
use std::fs::{File, OpenOptions};
use std::io::Write;

/// The inherited descriptor, opened anew: that needs no unsafe code, and a descriptor that is not there is an error.
#[derive(Debug)]
pub struct AckLog(File);

impl AckLog {
    /// Opens descriptor `fd` of this process for appending. A file, a pipe or a terminal will do, a socket will not.
    pub fn inherited(fd: u32) -> Result<Self, Reason> {
        let path = format!("/proc/self/fd/{fd}");
        OpenOptions::new().append(true).open(&path).map(AckLog).map_err(|error| {
            Reason::new("AckLog", format!("--ack-log {fd}: cannot write to {path}: {error}"))
                .cure("hand down a descriptor that is open for writing: --ack-log 3 3>>acks.log")
        })
    }

    /// Writes these ids. Blocks when the reader of a pipe does not read: it wanted every line.
    pub fn write(&mut self, ids: &[MessageId]) -> std::io::Result<()> {
        let mut lines = String::with_capacity(ids.len() * 64);
        for id in ids {
            lines.push_str(&id.0);
            lines.push('\n');
        }
        self.0.write_all(lines.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    #[test]
    fn each_acknowledged_id_is_one_line() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut log = AckLog::inherited(writer.as_raw_fd() as u32).unwrap();
        log.write(&[MessageId("a-report-1".into()), MessageId("a-report-2".into())]).unwrap();
        log.write(&[]).unwrap();
        drop((log, writer));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a-report-1\na-report-2\n");
    }

    #[test]
    fn a_descriptor_that_is_not_there_is_an_error_with_the_cure() {
        let error = AckLog::inherited(9_999).unwrap_err();
        assert!(error.message.contains("--ack-log 9999") && error.next_step.contains("3>>"));
    }
}
