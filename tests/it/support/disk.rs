//! A small file system of a test's own, which can be filled.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::geteuid;
use tempfile::TempDir;

/// A file system in memory. It goes with this value, whatever still uses it.
pub struct SmallDisk(TempDir);

/// Why a test of a full disk is passed over by everybody else.
pub const ONLY_ROOT: &str = "only root can mount a small file system";

impl SmallDisk {
    /// With room for so many bytes; none where that is not allowed: see [`ONLY_ROOT`].
    pub fn with_room_for(bytes: u64) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let directory = TempDir::with_prefix("igstream_test_").expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0755")])
            .arg("igstream_test")
            .arg(directory.path())
            .status();
        mounted
            .expect("mount runs")
            .success()
            .then_some(Self(directory))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A directory on it that belongs to this user and group.
    pub fn directory_of(&self, user: u32, group: u32) -> PathBuf {
        let directory = self.path().join("theirs");
        fs::create_dir(&directory).expect("a directory");
        chown(&directory, Some(user), Some(group)).expect("it is given away");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("it is theirs");
        directory
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.filling())
            .expect("a file");
        let block = [0; 4096];
        loop {
            match file.write(&block) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("the disk cannot be filled: {error}"),
            }
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.filling()).expect("the filling is removed");
    }

    fn filling(&self) -> PathBuf {
        self.path().join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still uses it is about to end.
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
        if !unmounted.is_ok_and(|status| status.success()) {
            // Not a panic: one while another unwinds would abort all tests.
            eprintln!("{} is left mounted", self.path().display());
        }
    }
}
