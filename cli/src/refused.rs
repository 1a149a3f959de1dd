//! What may not be read: whose it is, and what to do.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use shmaudit_core::report::Text;

use crate::system::user_name;

/// What is said of a path that cannot be read. Where it is not allowed: which file or directory forbids it, and who may.
pub fn refused(path: &Path, error: &io::Error) -> String {
    let nearest = path.ancestors().find_map(|at| Some((at, fs::symlink_metadata(at).ok()?)));
    let (at, facts) = match nearest {
        Some(nearest) if error.kind() == io::ErrorKind::PermissionDenied => nearest,
        _ => return format!("{}: {error}", path.display()),
    };
    let what = if at == path { "it".to_string() } else { at.display().to_string() };
    let (uid, mode) = (facts.uid(), facts.mode() & 0o7777);
    let (whose, remedy) = match uid == rustix::process::geteuid().as_raw() {
        true => ("yours".to_string(), "allow it by chmod u+rwX"),
        false => {
            let name = user_name(uid).map_or_else(|| uid.to_string(), |name| Text::from(&name[..]).escaped());
            (format!("user {name}'s"), "ask as that user or as root")
        }
    };
    format!("{}: may not be read: {what} is {whose}, mode {mode:04o}; {remedy}", path.display())
}
