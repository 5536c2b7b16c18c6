//! A disk so small that it can be filled.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::service::{servers_on, signal_process};

/// A file system of its own in memory. It goes with this value, and a nats-server that stores on it.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Nothing where we may not mount one, which root may, and which is said.
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let at = TempDir::with_prefix("igstream_test_").expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={mebibytes}m"))
            .args(["igstream-test"])
            .arg(at.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            Ok(output) => skipped(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => skipped(&error.to_string()),
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all that is free but so much.
    pub fn fill_but(&self, mebibytes: u64) {
        self.fill();
        let file = File::options().write(true).open(self.filler());
        let file = file.expect("the file is there");
        let length = file.metadata().expect("its length").len();
        let kept = length - mebibytes * 1024 * 1024;
        file.set_len(kept).expect("it can be cut");
    }

    /// A directory on it that belongs to this user and group.
    pub fn directory_of(&self, user: u32, group: u32) -> PathBuf {
        let directory = self.path().join("theirs");
        fs::create_dir(&directory).expect("a directory");
        chown(&directory, Some(user), Some(group)).expect("it is given away");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("it is theirs");
        directory
    }

    /// Takes all that is free.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file");
        let error = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    }

    /// Gives it back.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the file goes");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

fn skipped(reason: &str) -> Option<SmallDisk> {
    eprintln!("skipped: a small disk cannot be mounted here: {reason}");
    None
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        for server in servers_on(self.path()) {
            signal_process(server, Signal::KILL);
        }
        // Lazily: the server may take a moment to go.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
