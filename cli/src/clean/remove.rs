//! Removal. Between looking and removing the world goes on, so everything that matters is asked again here, and what is
//! asked cannot change before the removal, or the removal can be taken back.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::system::{
    ASIDE, Clocks, Facts, Fate, Identity, Inventory, Object, SECOND, actor, holders_of, lease_is_whole, open_place,
    remove_segment, segment, take_lease,
};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is removed.
    Removed,
    /// Somebody else had removed it.
    Gone,
    /// It is as it was, for this reason.
    Left(String),
    /// It is marked for removal, and this is who attached it in that moment.
    Raced(String),
}

/// How long a newcomer that had found the name before it was taken away has to come to the lease.
const GRACE: Duration = Duration::from_millis(2);

/// Removes an object that may go.
pub fn remove(object: &Object, inventory: &Inventory) -> Outcome {
    match object.identity {
        Identity::Segment { shmid, ctime, cpid } => remove_one_segment(object, shmid, ctime, cpid),
        Identity::File { .. } => remove_file(object, inventory).unwrap_or_else(|outcome| outcome),
        Identity::Foreign { .. } => Outcome::Left("it is of another namespace".to_string()),
    }
}

fn remove_one_segment(object: &Object, shmid: i32, ctime: u64, cpid: u32) -> Outcome {
    // The creator once more: a dead process does not come back, but it may only have been hidden.
    let creator = actor(cpid, ctime.saturating_add(1).saturating_mul(SECOND).saturating_sub(1), &Clocks::read());
    if !matches!(creator.fate, Fate::Ended | Fate::Reused(_)) {
        return Outcome::Left(format!("its creator {} runs", creator.label()));
    }
    let seconds = |time: Option<u64>| time.unwrap_or(0) / SECOND;
    let then = (object.key, object.size, object.uid, ctime, cpid, object.last.as_ref().map_or(0, |last| last.pid));
    let used = (seconds(object.times.attached), seconds(object.times.detached));
    let now = match segment(shmid) {
        Ok(now) => now,
        Err(error) if is_gone(&error) => return Outcome::Gone,
        Err(error) => return Outcome::Left(format!("IPC_STAT: {error}")),
    };
    if now.nattch != 0 {
        return Outcome::Left(format!("process {} attached it meanwhile", now.lpid));
    }
    if (Some(now.key), now.size, Some(now.uid), now.ctime, now.cpid, now.lpid) != then || (now.atime, now.dtime) != used
    {
        return Outcome::Left("it was used or changed meanwhile, or its id is another segment's now".to_string());
    }
    if let Err(error) = remove_segment(shmid) {
        return if is_gone(&error) { Outcome::Gone } else { Outcome::Left(format!("IPC_RMID: {error}")) };
    }
    // Still there by its id: somebody came between the two calls, and has it for as long as it wants.
    match segment(shmid) {
        Ok(left) if (left.cpid, left.size) == (cpid, object.size) && left.nattch > 0 && left.key == 0 => {
            Outcome::Raced(format!("process {} attached it in that moment, and keeps it until it detaches", left.lpid))
        }
        _ => Outcome::Removed,
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIDRM))
}

/// Where a file's name is.
struct Name {
    directory: OwnedFd,
    name: Vec<u8>,
}

/// Errors are outcomes too: what stops the removal.
fn remove_file(object: &Object, inventory: &Inventory) -> Result<Outcome, Outcome> {
    let left = |reason: &str| Outcome::Left(reason.to_string());
    let name = find_name(object, inventory)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = match openat(&name.directory, &*name.name, flags, Mode::empty()) {
        Ok(handle) => handle,
        Err(Errno::NOENT) => return Err(Outcome::Gone),
        Err(error) => return Err(Outcome::Left(format!("it cannot be looked at: {error}"))),
    };
    let facts = Facts::of_open(&handle).map_err(|error| Outcome::Left(format!("it cannot be looked at: {error}")))?;
    if Some(facts.uid) != object.uid || !facts.is_file() || !is_the(object, &facts) {
        return Err(left("its name is another file's now"));
    }
    if facts.size != object.size || facts.times != object.times {
        return Err(left("it was used or changed meanwhile"));
    }
    if facts.links != 1 {
        return Err(left("it has got another name, which would keep it"));
    }
    let lease = lease(&name, &facts)?;
    if lease.is_none() && !inventory.sight.complete {
        return Err(left("not every process can be looked into, and the kernel does not tell whether one has it open"));
    }
    let aside = aside(&facts);
    let taken = renameat_with(&name.directory, &*name.name, &name.directory, &*aside, RenameFlags::NOREPLACE);
    taken.map_err(|error| match error {
        Errno::NOENT => Outcome::Gone,
        error => Outcome::Left(format!("its name cannot be taken away: {error}")),
    })?;
    // From here on nobody finds it. Who had found it before is waiting for the lease, or is seen in /proc.
    if let Some(reason) = newcomers(&name, &aside, &facts, lease.as_ref(), inventory) {
        return Ok(put_back(&name, &aside, reason));
    }
    match unlinkat(&name.directory, &*aside, AtFlags::empty()) {
        Ok(()) => Ok(Outcome::Removed),
        Err(error) => Ok(put_back(&name, &aside, format!("unlink: {error}"))),
    }
}

/// The directory of the object's name, gone down to from its mount without following a link.
fn find_name(object: &Object, inventory: &Inventory) -> Result<Name, Outcome> {
    let left = |reason: String| Outcome::Left(reason);
    let places = inventory.places.shm.iter().chain(&inventory.places.huge);
    let Identity::File { dev, .. } = object.identity else { return Err(left("it is no file".to_string())) };
    let place = places.clone().find(|place| place.dev == dev).ok_or_else(|| left("its mount is gone".to_string()))?;
    let path = object.path.as_ref().map_or(&[][..], |path| path.bytes());
    let below = path.strip_prefix(&place.path[..]).and_then(|rest| rest.strip_prefix(b"/"));
    let Some(below) = below else { return Err(left("its path is not below its mount".to_string())) };
    let mut directory = open_place(place).map_err(|error| left(format!("its mount cannot be opened: {error}")))?;
    let mut parts: Vec<&[u8]> = below.split(|&byte| byte == b'/').collect();
    let name = parts.pop().unwrap_or(&[]).to_vec();
    for part in parts {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        directory = openat(&directory, part, flags, Mode::empty())
            .map_err(|error| left(format!("its directory cannot be opened: {error}")))?;
    }
    Ok(Name { directory, name })
}

fn is_the(object: &Object, facts: &Facts) -> bool {
    object.identity == Identity::File { dev: facts.dev, ino: facts.ino }
}

/// The lease, held for as long as what is returned. Nothing where the kernel has none to give (no such right, no leases
/// on this file system).
fn lease(name: &Name, facts: &Facts) -> Result<Option<OwnedFd>, Outcome> {
    // Without waiting for another's lease.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = openat(&name.directory, &*name.name, flags, Mode::empty()) else { return Ok(None) };
    if !Facts::of_open(&file).is_ok_and(|opened| opened.same_file(facts)) {
        return Err(Outcome::Left("its name is another file's now".to_string()));
    }
    match take_lease(&file) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Outcome::Left(
            "the kernel says that somebody has it open or mapped, out of sight: in another namespace, or on its way \
             through a socket"
                .to_string(),
        )),
        Err(_) => Ok(None),
    }
}

/// A name that nobody looks for.
fn aside(facts: &Facts) -> Vec<u8> {
    [ASIDE, format!("{}-{}", std::process::id(), facts.ino).as_bytes()].concat()
}

/// Why the name must be put back.
fn newcomers(
    name: &Name,
    aside: &[u8],
    facts: &Facts,
    lease: Option<&OwnedFd>,
    inventory: &Inventory,
) -> Option<String> {
    let moved = Facts::of(&name.directory, aside, false).ok();
    if !moved.is_some_and(|moved| moved.same_file(facts) && moved.links == 1) {
        return Some("its name was another file's in that moment".to_string());
    }
    match lease {
        Some(lease) => {
            thread::sleep(GRACE);
            (!lease_is_whole(lease)).then(|| "somebody opened it in that moment".to_string())
        }
        None => {
            let (holders, blind) = holders_of(facts.dev, facts.ino, &inventory.places, &Clocks::read());
            match holders.first() {
                Some(holder) => Some(format!("{holder} opened it meanwhile")),
                None if blind.processes > 0 || blind.proc => Some("not every process could be looked into".to_string()),
                None => None,
            }
        }
    }
}

/// Gives the name back, unless somebody has made a new object of that name in between.
fn put_back(name: &Name, aside: &[u8], reason: String) -> Outcome {
    match renameat_with(&name.directory, aside, &name.directory, &*name.name, RenameFlags::NOREPLACE) {
        Ok(()) => Outcome::Left(reason),
        Err(error) => {
            let kept = String::from_utf8_lossy(aside).into_owned();
            Outcome::Left(format!("{reason}; its name could not be given back ({error}): it is called {kept} now"))
        }
    }
}
