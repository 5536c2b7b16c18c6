//! How a server ended.

use std::{fmt, io};

use super::log::RunLog;

/// How a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Such as "exit status: 1" or "signal: 9 (SIGKILL)".
    pub status: String,
    /// The last lines of its log.
    pub log_tail: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.log_tail.is_empty() {
            return write!(f, "{}, with nothing in its log", self.status);
        }
        write!(f, "{}; its log ends with\n{}", self.status, self.log_tail)
    }
}

pub(super) fn exit(status: io::Result<String>, log: &RunLog) -> Exit {
    Exit {
        status: status.unwrap_or_else(|error| error.to_string()),
        log_tail: log.tail(),
    }
}
