//! What the server said last.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 15;

/// The log of one run of the server. The file holds earlier runs too; they are not shown.
#[derive(Debug)]
pub(super) struct RunLog {
    /// The server's log, which it rotates itself.
    pub(super) log: PathBuf,
    /// Its standard error: complaints before it has a log, and a panic's trace.
    pub(super) stderr: PathBuf,
    begins_at: u64,
}

impl RunLog {
    pub(super) fn begin(data_dir: &Path) -> Self {
        let log = data_dir.join("server.log");
        let begins_at = fs::metadata(&log).map_or(0, |found| found.len());
        Self {
            log,
            stderr: data_dir.join("server.err"),
            begins_at,
        }
    }

    /// The last lines of this run, its standard error last; empty if it said nothing.
    pub(super) fn tail(&self) -> String {
        let mut lines = read_end(&self.log, self.begins_at).unwrap_or_default();
        lines.push_str(&read_end(&self.stderr, 0).unwrap_or_default());
        let lines: Vec<_> = lines
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

fn read_end(path: &Path, begins_at: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Shorter than it was: rotated since, and all of it is of this run.
    let begins_at = if length < begins_at { 0 } else { begins_at };
    file.seek(SeekFrom::Start(
        begins_at.max(length.saturating_sub(TAIL_BYTES)),
    ))?;
    let mut end = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}
