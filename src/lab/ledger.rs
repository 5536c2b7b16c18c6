//! What was sent, event by event, for a later comparison with the database.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

use super::{delivery::Delivery, expectation::Expectation};

/// A file of one JSON object a line: one line an event sent. A delivery that has no readable item
/// has one line whose `type` is null.
pub struct Ledger {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
}

/// The ledger's file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "the ledger {path} cannot be written: {source}; give --ledger a file in a directory that exists and has room"
)]
pub struct LedgerError {
    path: PathBuf,
    source: std::io::Error,
}

#[derive(Serialize)]
struct Line<'a> {
    delivery: u64,
    #[serde(rename = "type")]
    event_type: Option<&'a str>,
    ig_account_id: Option<&'a str>,
    event_id: Option<&'a str>,
    expectation: Expectation,
    /// The last answer; null if none came.
    status: Option<u16>,
    /// It was posted again after an unknown outcome: it may be in the service twice.
    retried: bool,
}

impl Ledger {
    /// Creates the file; one that is there is written over.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn create(path: &Path) -> Result<Self, LedgerError> {
        match File::create(path) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file: Mutex::new(BufWriter::with_capacity(256 * 1024, file)),
            }),
            Err(source) => Err(LedgerError {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Writes the lines of a delivery, with the HTTP status it was answered.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(
        &self,
        delivery: &Delivery,
        status: Option<u16>,
        retried: bool,
    ) -> Result<(), LedgerError> {
        let mut lines = Vec::with_capacity(300 * delivery.events.len());
        for told in &delivery.events {
            let line = Line {
                delivery: delivery.number,
                event_type: told.event_type,
                ig_account_id: told.ig_account_id.as_deref(),
                event_id: told.event_id.as_deref(),
                expectation: told.expectation,
                status,
                retried,
            };
            serde_json::to_writer(&mut lines, &line).map_err(|error| self.error(error.into()))?;
            lines.push(b'\n');
        }
        self.with_file(|file| file.write_all(&lines))
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(&self) -> Result<(), LedgerError> {
        self.with_file(BufWriter::flush)
    }

    fn with_file(
        &self,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Result<(), LedgerError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut file).map_err(|source| self.error(source))
    }

    fn error(&self, source: std::io::Error) -> LedgerError {
        LedgerError {
            path: self.path.clone(),
            source,
        }
    }
}
