//! The files of the archive: lines of JSON, compressed by zstd, a file for each day (UTC) on which rows were deleted.
//!
//! Each batch is a frame of its own, with a checksum: frames stand one behind the other, and every zstd reads them as
//! one text. A frame that a crash cut off is found at the next opening, and taken off: the rows in it were not deleted,
//! since that waits until the frame is on the disk.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{NaiveDate, Utc};
use tracing::warn;

use super::frames::{Ends, frame, read_through};

const LOCK: &str = ".igstream.lock";

/// Why rows could not be archived.
#[derive(Debug, thiserror::Error)]
#[error(
    "retention.archive_dir: {path:?} cannot be {doing}: {reason}; nothing is deleted until it can"
)]
pub(super) struct ArchiveError {
    doing: &'static str,
    path: PathBuf,
    reason: io::Error,
}

/// The archive's directory, and what is known of its last file.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    /// Up to where that file holds whole frames.
    whole: Option<(PathBuf, u64)>,
}

/// Who has it is the only one that archives in this directory; it goes when dropped.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "holds the lock")] File);

impl Files {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            whole: None,
        }
    }

    /// `None` while another process archives.
    pub(super) fn take_turn(&self) -> Result<Option<Turn>, ArchiveError> {
        self.make_directory()?;
        let path = self.directory.join(LOCK);
        let file = private(&path);
        let file = file.map_err(failed("opened", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Turn(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(reason)) => Err(failed("locked", &path)(reason)),
        }
    }

    fn make_directory(&self) -> Result<(), ArchiveError> {
        if self.directory.is_dir() {
            return Ok(());
        }
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .and_then(|()| sync_directories_above(&self.directory));
        made.map_err(failed("made", &self.directory))
    }

    /// Adds a frame with these lines to the file of `day`. When this returns it is on the disk. Returns its size.
    pub(super) fn append(
        &mut self,
        _turn: &Turn,
        day: NaiveDate,
        lines: &[String],
    ) -> Result<u64, ArchiveError> {
        let path = self.directory.join(file_name(day));
        let is_known = self.whole.as_ref().is_some_and(|(of, _)| *of == path);
        let frame = frame(lines).map_err(failed("compressed for", &path))?;
        let (mut file, whole) = self.open(&path)?;
        let end = whole + frame.len() as u64;
        self.whole = None;
        let written = file
            .seek(SeekFrom::Start(whole))
            .and_then(|_| file.write_all(&frame))
            .and_then(|()| file.sync_all());
        if let Err(reason) = written {
            // A full disk takes part of a frame. What stays of it is taken off at the next opening.
            let _ = file.set_len(whole);
            return Err(failed("written to", &path)(reason));
        }
        // Who made it may have ended before its entry was on the disk.
        if !is_known || whole == 0 {
            sync(&self.directory).map_err(failed("synced", &self.directory))?;
        }
        self.whole = Some((path, end));
        Ok(frame.len() as u64)
    }

    /// The file, and the end of its last whole frame, where it ends, too.
    fn open(&self, path: &Path) -> Result<(File, u64), ArchiveError> {
        let mut file = private(path).map_err(failed("opened", path))?;
        let length = file.metadata().map_err(failed("read", path))?.len();
        let known = self.whole.as_ref().filter(|(of, _)| of == path);
        let known = known.map_or(0, |(_, whole)| *whole);
        if known == length {
            return Ok((file, length));
        }
        let from = if known < length { known } else { 0 };
        let (whole, ends) = read_through(&file, from).map_err(failed("read", path))?;
        match ends {
            Ends::Whole => {}
            Ends::CutOff => {
                let bytes = length - whole;
                warn!(
                    ?path,
                    bytes,
                    "the archive's last frame was cut off by a crash and is taken off; its rows were not deleted"
                );
                file.set_len(whole).map_err(failed("mended", path))?;
            }
            Ends::Damaged => {
                let aside = aside(path);
                warn!(
                    ?path,
                    at = whole,
                    ?aside,
                    "a file of the archive is damaged; what stands behind its last good frame is set aside as it is"
                );
                let moved = move_tail(&mut file, whole, &aside);
                moved.map_err(failed("mended", path))?;
            }
        }
        Ok((file, whole))
    }
}

/// Moves what stands behind `from` to a file of its own.
fn move_tail(file: &mut File, from: u64, aside: &Path) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    let mut tail = private(aside)?;
    let copied = io::copy(file, &mut tail).and_then(|_| tail.sync_all());
    if copied.is_err() {
        // It is tried again, under another name.
        let _ = fs::remove_file(aside);
    }
    copied?;
    file.set_len(from)
}

fn file_name(day: NaiveDate) -> String {
    format!("instagram_webhook_events-{day}.ndjson.zst")
}

/// It no longer ends like a file of the archive: `*.ndjson.zst` are those that can be read.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{}", Utc::now().timestamp_millis()));
    name.into()
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ArchiveError + 'a {
    move |reason| ArchiveError {
        doing,
        path: path.to_owned(),
        reason,
    }
}

/// What people wrote is in it: for nobody else to read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    options.mode(0o600).open(path)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Their entries are what makes a new directory last.
fn sync_directories_above(directory: &Path) -> io::Result<()> {
    for above in directory.ancestors().skip(1) {
        if above.as_os_str().is_empty() {
            return sync(Path::new("."));
        }
        sync(above)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 26).unwrap()
    }

    struct World {
        home: tempfile::TempDir,
        files: Files,
    }

    impl World {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let files = Files::new(home.path().join("deep/archive"));
            Self { home, files }
        }

        fn path(&self) -> PathBuf {
            let directory = self.home.path().join("deep/archive");
            directory.join("instagram_webhook_events-2026-11-26.ndjson.zst")
        }

        fn append(&mut self, line: &str) {
            let turn = self.files.take_turn().unwrap().unwrap();
            self.files.append(&turn, day(), &[line.to_owned()]).unwrap();
        }

        fn restart(&mut self) {
            self.files = Files::new(self.home.path().join("deep/archive"));
        }

        fn text(&self) -> String {
            let bytes = zstd::stream::decode_all(File::open(self.path()).unwrap()).unwrap();
            String::from_utf8(bytes).unwrap()
        }
    }

    #[test]
    fn what_is_added_is_read_as_one_text() {
        let mut world = World::new();
        world.append("1");
        world.append("2");
        world.restart();
        world.append("3");
        assert_eq!(world.text(), "1\n2\n3\n");
    }

    #[test]
    fn one_at_a_time_archives() {
        let world = World::new();
        let turn = world.files.take_turn().unwrap();
        let other = Files::new(world.home.path().join("deep/archive"));
        assert!(turn.is_some() && other.take_turn().unwrap().is_none());
        drop(turn);
        assert!(other.take_turn().unwrap().is_some());
    }

    #[test]
    fn a_frame_that_was_cut_off_anywhere_is_taken_off() {
        let mut world = World::new();
        world.append("1");
        let first = fs::metadata(world.path()).unwrap().len();
        world.append("a longer line, cut off somewhere");
        let bytes = fs::read(world.path()).unwrap();
        for length in first..bytes.len() as u64 {
            fs::write(world.path(), &bytes[..usize::try_from(length).unwrap()]).unwrap();
            world.restart();
            world.append("2");
            assert_eq!(world.text(), "1\n2\n", "cut off at {length}");
        }
    }

    #[test]
    fn another_process_may_have_added_some() {
        let mut world = World::new();
        world.append("1");
        let mut other = Files::new(world.home.path().join("deep/archive"));
        let turn = other.take_turn().unwrap().unwrap();
        other.append(&turn, day(), &["2".to_owned()]).unwrap();
        drop(turn);
        world.append("3");
        assert_eq!(world.text(), "1\n2\n3\n");
        // Moved away, it begins anew.
        fs::remove_file(world.path()).unwrap();
        world.append("4");
        assert_eq!(world.text(), "4\n");
    }

    #[test]
    fn what_is_damaged_is_set_aside_as_it_is() {
        let mut world = World::new();
        world.append("1");
        world.append("2");
        let mut bytes = fs::read(world.path()).unwrap();
        let tail = vec![0; 20];
        bytes.extend(&tail);
        fs::write(world.path(), &bytes).unwrap();
        world.restart();
        world.append("3");
        assert_eq!(world.text(), "1\n2\n3\n");
        let aside = fs::read_dir(world.path().parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().contains(".damaged-"))
            .unwrap();
        assert_eq!(fs::read(aside).unwrap(), tail);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Files::new(file.join("archive")).take_turn().unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("retention.archive_dir") && said.contains("nothing is deleted"),
            "{said}"
        );
    }
}
