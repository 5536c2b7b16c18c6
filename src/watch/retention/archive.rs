//! The archive, for an actor: its files are written in a thread for what blocks, and nobody waits for a disk that
//! hangs for ever.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use chrono::Utc;
use tokio::task::JoinError;
use tokio::time::timeout;

use super::files::{ArchiveError, Files, Turn};

/// How long a disk may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why rows could not be archived.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotArchived {
    /// The system says no.
    #[error(transparent)]
    Refused(#[from] ArchiveError),
    /// The disk does not answer.
    #[error(
        "retention.archive_dir: {directory:?} did not answer within {PATIENCE:?}; nothing is deleted until it does"
    )]
    TooLate {
        /// The directory.
        directory: PathBuf,
    },
    /// What was written panicked.
    #[error("the archive could not be written: {0}")]
    Ended(#[from] JoinError),
}

type Late = Pin<Box<dyn Future<Output = Result<Files, JoinError>> + Send + Sync>>;

/// Where rows go before they are deleted.
pub(super) struct Archive {
    directory: PathBuf,
    files: Option<Files>,
    /// A thread that the disk has kept for too long. Another would only wait beside it, or for its lock.
    late: Option<Late>,
}

impl Archive {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            files: None,
            late: None,
        }
    }

    /// `None` while another process archives.
    pub(super) async fn take_turn(&mut self) -> Result<Option<Turn>, NotArchived> {
        self.with_files(|files| files.take_turn()).await
    }

    /// Adds lines to the file of today. When this returns they are on the disk. Returns how many bytes they took.
    pub(super) async fn append(
        &mut self,
        turn: Turn,
        lines: Vec<String>,
    ) -> Result<(Turn, u64), NotArchived> {
        self.with_files(move |files| {
            let bytes = files.append(&turn, Utc::now().date_naive(), &lines)?;
            Ok((turn, bytes))
        })
        .await
    }

    async fn with_files<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Files) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, NotArchived> {
        let mut files = self.take_files().await?;
        let mut working = tokio::task::spawn_blocking(move || (work(&mut files), files));
        let Ok(worked) = timeout(PATIENCE, &mut working).await else {
            // What it has done then nobody asks for: its turn ends, and its rows are archived again.
            self.late = Some(Box::pin(async { working.await.map(|(_, files)| files) }));
            return Err(self.too_late());
        };
        let (done, files) = worked?;
        self.files = Some(files);
        Ok(done?)
    }

    async fn take_files(&mut self) -> Result<Files, NotArchived> {
        if let Some(mut late) = self.late.take() {
            let Ok(files) = timeout(PATIENCE, &mut late).await else {
                self.late = Some(late);
                return Err(self.too_late());
            };
            return Ok(files?);
        }
        let known = self.files.take();
        Ok(known.unwrap_or_else(|| Files::new(self.directory.clone())))
    }

    fn too_late(&self) -> NotArchived {
        NotArchived::TooLate {
            directory: self.directory.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_said_each_time_and_waited_for_by_one_thread() {
        let home = tempfile::tempdir().unwrap();
        let mut archive = Archive::new(home.path().to_owned());
        let (answer, disk) = mpsc::channel::<()>();
        let turn = archive.take_turn().await.unwrap().unwrap();
        let hangs = archive.with_files(move |_| {
            let _ = disk.recv();
            drop(turn);
            Ok(())
        });
        // The clock stands still while a thread works.
        let (hung, ()) = tokio::join!(hangs, tokio::time::advance(PATIENCE));
        assert!(matches!(hung, Err(NotArchived::TooLate { .. })), "{hung:?}");
        let (turn, ()) = tokio::join!(archive.take_turn(), tokio::time::advance(PATIENCE));
        assert!(matches!(turn, Err(NotArchived::TooLate { .. })));
        answer.send(()).unwrap();
        assert!(archive.take_turn().await.unwrap().is_some());
    }
}
