//! The files of a mount, its directories looked into.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags, open, openat};
use rustix::io::{Errno, Result};

use super::facts::Facts;
use super::places::Place;

/// Most files that are listed of a mount.
pub const MOST: usize = 1 << 20;
/// Directories in directories before the rest is left out.
const DEEPEST: usize = 64;

/// The files of a mount.
#[derive(Debug, Default)]
pub struct Listing {
    /// Regular files by their paths below the mount, without a leading slash.
    pub files: BTreeMap<Vec<u8>, Facts>,
    /// Directories that may not be read.
    pub closed: u64,
    /// Files beyond [`MOST`] and in directories beyond [`DEEPEST`], as far as they were counted.
    pub left_out: u64,
}

/// Opens a mount's directory; links in its path are followed (/dev/shm is one on older systems).
pub fn open_place(place: &Place) -> Result<OwnedFd> {
    open(place.path.as_slice(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Lists a mount's files. What is mounted over its directories is not looked into.
pub fn list(place: &Place) -> Listing {
    let mut listing = Listing::default();
    match open_place(place) {
        Ok(directory) => listing.directory(&directory, &[], place.dev, 0),
        Err(_) => listing.closed += 1,
    }
    listing
}

impl Listing {
    fn directory(&mut self, directory: &OwnedFd, prefix: &[u8], dev: u64, depth: usize) {
        let Ok(entries) = Dir::read_from(directory.as_fd()) else {
            self.closed += 1;
            return;
        };
        for entry in entries {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(facts) = Facts::of(directory, name, false) else { continue };
            if facts.dev != dev {
                continue;
            }
            let path =
                if prefix.is_empty() { name.to_bytes().to_vec() } else { [prefix, b"/", name.to_bytes()].concat() };
            if facts.is_file() {
                if self.files.len() < MOST {
                    self.files.insert(path, facts);
                } else {
                    self.left_out += 1;
                }
            } else if facts.is_directory() {
                if depth >= DEEPEST {
                    self.left_out += 1;
                    continue;
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(directory, name, flags, Mode::empty()) {
                    Ok(inner) => self.directory(&inner, &path, dev, depth + 1),
                    Err(Errno::NOENT) => {}
                    Err(_) => self.closed += 1,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_tree() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        for file in ["one", "a/two", "a/b/three"] {
            fs::write(root.path().join(file), "12345").unwrap();
        }
        std::os::unix::fs::symlink("one", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("a", root.path().join("loop")).unwrap();
        let facts = Facts::of(rustix::fs::CWD, root.path(), true).unwrap();
        let place = Place { path: root.path().as_os_str().as_bytes().to_vec(), dev: facts.dev, fstype: Vec::new() };
        let listing = list(&place);
        let names: Vec<&[u8]> = listing.files.keys().map(Vec::as_slice).collect();
        assert_eq!(names, [&b"a/b/three"[..], b"a/two", b"one"]);
        assert!(listing.files.values().all(|facts| facts.size == 5 && facts.is_file()));
        assert_eq!((listing.closed, listing.left_out), (0, 0));
        // Of another device there is nothing to list.
        assert!(list(&Place { dev: facts.dev + 1, ..place.clone() }).files.is_empty());
        assert_eq!(list(&Place { path: b"/no/such/place".to_vec(), ..place }).closed, 1);
    }
}
