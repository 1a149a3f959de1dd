//! /proc/PID/fd: what a descriptor stands for, by its link's text (the kernel's fs/d_path.c).

/// Where a link in /proc/PID/fd (or map_files) points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FdTarget<'a> {
    /// A file with a path.
    Path {
        /// Its path, without the kernel's ` (deleted)`.
        path: &'a [u8],
        /// Whether it has been unlinked. (A living file whose name ends so looks the same; its link count tells.)
        deleted: bool,
    },
    /// A file of `memfd_create`, by the name given there. (An unlinked file `/memfd:…` looks the same.)
    Memfd(&'a [u8]),
    /// A System V segment, by the key it was made with (in map_files only).
    Sysv(i32),
    /// Anything else: `pipe:[14638]`, `socket:[…]`, `anon_inode:[eventpoll]`, `(unreachable)/…`.
    Other(&'a [u8]),
}

/// Reads the text of a link in /proc/PID/fd. The kernel escapes nothing in it.
pub fn fd_link(text: &[u8]) -> FdTarget<'_> {
    if text.first() != Some(&b'/') {
        return FdTarget::Other(text);
    }
    let Some(path) = text.strip_suffix(b" (deleted)") else {
        return FdTarget::Path { path: text, deleted: false };
    };
    if let Some(name) = path.strip_prefix(b"/memfd:") {
        return FdTarget::Memfd(name);
    }
    match path.strip_prefix(b"/SYSV").and_then(super::maps::sysv_hex) {
        Some(key) => FdTarget::Sysv(key),
        None => FdTarget::Path { path, deleted: true },
    }
}
