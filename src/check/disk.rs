//! Directories and files: whether we may write there, without writing.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::stream::managed;

/// Why nothing can be written at `path`, a directory that may still have to be made.
pub(super) fn unwritable_directory(path: &Path) -> Option<String> {
    let there = nearest(path);
    let shown = there.display();
    if !there.is_dir() {
        return Some(format!("{shown} is no directory"));
    }
    let allowed = access(&there, Access::WRITE_OK | Access::EXEC_OK);
    let error = allowed.err()?;
    Some(format!(
        "the directory {shown} cannot be written to: {error}"
    ))
}

/// Why a file that is there cannot be written.
pub(super) fn unwritable_file(path: &Path) -> Option<String> {
    if !path.is_file() {
        return Some(format!("{} is no file", path.display()));
    }
    let error = access(path, Access::READ_OK | Access::WRITE_OK).err()?;
    Some(format!("{} cannot be written: {error}", path.display()))
}

/// Bytes that are free for us where `path` is or will be made.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    managed::free_bytes(&nearest(path))
}

/// The path, or the nearest above it that is there.
fn nearest(path: &Path) -> PathBuf {
    let parents = path.ancestors().find(|path| path.exists());
    match parents {
        Some(path) if path.as_os_str().is_empty() => PathBuf::from("."),
        Some(path) => path.to_owned(),
        None if path.is_absolute() => PathBuf::from("/"),
        None => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_there_is_judged_by_what_is_above_it() {
        let home = tempfile::tempdir().unwrap();
        let deep = home.path().join("a/b/c");
        assert_eq!(unwritable_directory(&deep), None);
        assert!(!home.path().join("a").exists());
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        let told = unwritable_directory(&file.join("x")).unwrap();
        assert!(told.contains("no directory"), "{told}");
        assert_eq!(unwritable_file(&file), None);
        assert!(unwritable_file(home.path()).is_some());
        assert!(free_bytes(Path::new("not/there")).unwrap() > 0);
    }
}
