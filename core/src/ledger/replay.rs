//! One record's effect on the ledger.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::live::{Holding, Live, Open};
use super::object::{Object, ObjectIndex};
use super::ranges::Piece;
use super::{Ledger, name_of, name_under_mount};
use crate::calls::Call;
use crate::procfs;
use crate::record::{Event, FLAG_CREATED, FLAG_LATE, Family, State, size_when_mapped};
use crate::words::ShmidDs;

const MAP_ANONYMOUS: u64 = 0x20;
const MREMAP_DONTUNMAP: u64 = 4;
const CLOSE_RANGE_CLOEXEC: u64 = 4;
const FALLOC_FL_KEEP_SIZE: u64 = 1;
const AT_REMOVEDIR: u64 = 0x200;
const RENAME_EXCHANGE: u64 = 2;
const CLONE_VM: u64 = 0x100;
const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;
const IPC_RMID: u64 = 0;
const IPC_64: u64 = 0x100;
const EINTR: i32 = 4;

fn fd(word: u64) -> i32 {
    word as u32 as i32
}

/// The pieces of a mapping that a call took away.
type Gone = Vec<(u64, Piece<Rc<Holding>>)>;

impl Ledger {
    /// Applies one record, which is about `known` as far as that has been met. They come in [`Event::order`].
    pub(super) fn apply(&mut self, event: &Event, known: Option<ObjectIndex>) {
        self.events = self.events.saturating_add(1);
        let object = self.object_of(event, known);
        if let Some(index) = object {
            self.with(index, |object| object.count(event.call));
        }
        if event.state == State::Begun {
            return self.begun(event);
        }
        if event.failed() {
            // A close that was interrupted has closed all the same.
            if event.call == Call::Close && event.errno == EINTR {
                self.release(event);
            }
            return;
        }
        match event.call {
            Call::ShmOpen | Call::Open | Call::Openat | Call::Creat | Call::MemfdCreate => {
                if let Some(index) = object {
                    self.describe(index, event);
                    self.opened(event, index, event.ret);
                }
            }
            Call::Shmget => {
                if let Some(index) = object {
                    self.describe(index, event);
                }
            }
            Call::Dup | Call::Dup2 | Call::Dup3 => self.copied(event, object),
            Call::Fcntl if matches!(event.arg(1), F_DUPFD | F_DUPFD_CLOEXEC) => self.copied(event, object),
            Call::ShmUnlink | Call::Unlink => self.unlinked(event),
            Call::Unlinkat if event.arg(1) & AT_REMOVEDIR == 0 => self.unlinked(event),
            Call::Rename | Call::Renameat | Call::Renameat2 => self.renamed(event),
            Call::Link | Call::Linkat => self.linked(event),
            Call::Ftruncate | Call::Fallocate | Call::PosixFallocate | Call::Fstat => {
                if let Some(index) = object {
                    self.sized(event, index);
                }
            }
            Call::Shmctl => {
                if let Some(index) = object {
                    self.controlled(event, index);
                }
            }
            Call::Mmap | Call::Shmat => self.mapped(event, object),
            Call::Mremap => self.remapped(event),
            Call::Munmap | Call::Shmdt | Call::Close | Call::CloseRange | Call::Closefrom => self.release(event),
            Call::IgnoreName | Call::IgnoreId => self.ignored.note(event),
            Call::Fork => self.forked(event),
            Call::Clone if event.arg(0) & CLONE_VM == 0 => self.forked(event),
            _ => {}
        }
    }

    /// The object that a record is about. Only a call that succeeded proves that there is one.
    fn object_of(&mut self, event: &Event, known: Option<ObjectIndex>) -> Option<ObjectIndex> {
        if event.state == State::Begun || event.failed() || event.object.family == Family::None {
            return known;
        }
        if let Some(index) = known {
            // The same identity once more after the one before was removed, or the same name without an identity.
            let again = event.flags & FLAG_CREATED != 0
                && self.object(index).is_some_and(|object| {
                    object.certain && object.created.is_some_and(|created| created.order != event.order)
                });
            if !again {
                return known;
            }
        }
        Some(self.push(Object::new(event.object)))
    }

    /// A release that was begun and of whose end nothing is known. What it releases is taken for released, so that
    /// nothing is said to be held that may not be; whether an object is gone, the kernel says.
    fn begun(&mut self, event: &Event) {
        if event.flags & FLAG_LATE != 0 {
            return self.making(event);
        }
        let removes = match event.call {
            Call::ShmUnlink | Call::Unlink | Call::Unlinkat => true,
            Call::Shmctl => event.arg(1) & !IPC_64 == IPC_RMID,
            _ => false,
        };
        if removes {
            let moment = self.stacks.moment(event);
            if let Some(index) = self.known(event) {
                self.with(index, |object| object.removing = Some(moment));
            }
        } else {
            self.release(event);
        }
    }

    fn opened(&mut self, event: &Event, object: ObjectIndex, new: i64) {
        let made = self.stacks.moment(event);
        let Ok(new) = i32::try_from(new) else { return };
        if let Some(live) = self.live_of(event.process, event.pid) {
            live.fds.insert(new, Open { object, made });
        }
    }

    /// A descriptor was copied; `None`: it is not one of ours that went over one of ours.
    fn copied(&mut self, event: &Event, object: Option<ObjectIndex>) {
        match object {
            // dup2 onto itself does nothing.
            Some(_) if event.call == Call::Dup2 && event.arg(0) == event.arg(1) => {}
            Some(object) => self.opened(event, object, event.ret),
            None => {
                if let Some(live) = self.live_of(event.process, event.pid) {
                    live.fds.remove(&fd(event.ret as u64));
                }
            }
        }
    }

    fn unlinked(&mut self, event: &Event) {
        let Some(index) = self.known(event) else { return };
        match name_of(event) {
            Some(name) if self.has_several_names(index) => drop(self.by_name.remove(name)),
            _ => self.drop_name(index),
        }
        self.lost_name(event, index, name_of(event));
    }

    fn has_several_names(&self, index: ObjectIndex) -> bool {
        self.object(index).is_some_and(|object| !object.also.is_empty())
    }

    /// A name of an object has gone, and the object with its last one.
    fn lost_name(&mut self, event: &Event, index: ObjectIndex, name: Option<&[u8]>) {
        let moment = self.stacks.moment(event);
        self.with(index, |object| match object.also.is_empty() {
            true => object.removed = object.removed.or(Some(moment)),
            false => object.lose(name),
        });
    }

    /// Its name no longer leads to an object.
    fn drop_name(&mut self, index: ObjectIndex) {
        if let Some(name) = self.object(index).and_then(|object| object.name.clone())
            && self.by_name.get(&name) == Some(&index)
        {
            self.by_name.remove(&name);
        }
    }

    /// Its key no longer leads to a segment.
    fn drop_key(&mut self, index: ObjectIndex) {
        let key = |object: &Object| Some((object.id.dev, object.key?));
        if let Some(key) = self.object(index).and_then(key)
            && self.by_key.get(&key) == Some(&index)
        {
            self.by_key.remove(&key);
        }
    }

    fn renamed(&mut self, event: &Event) {
        self.has_renamed = true;
        let mut paths = event.data.splitn(2, |&byte| byte == 0);
        let old = paths.next().and_then(name_under_mount);
        let new = paths.next().and_then(name_under_mount);
        let moved = old.and_then(|name| self.by_name.remove(name));
        let replaced = new.and_then(|name| self.by_name.remove(name));
        let exchanged = event.call == Call::Renameat2 && event.arg(2) & RENAME_EXCHANGE != 0;
        if let Some(index) = moved {
            self.with(index, |object| {
                object.count(event.call);
                // Of several names it is this one that changes.
                if !object.also.is_empty() {
                    object.lose(old);
                    object.also.extend(object.name.take());
                }
            });
            self.named(index, new);
        }
        match replaced {
            Some(index) if exchanged => self.named(index, old),
            Some(index) if Some(index) != moved => self.lost_name(event, index, new),
            _ => {}
        }
    }

    /// An object has another name beside its own.
    fn linked(&mut self, event: &Event) {
        let mut paths = event.data.splitn(2, |&byte| byte == 0);
        let old = paths.next().and_then(name_under_mount);
        let new = paths.next().and_then(name_under_mount);
        let Some(&index) = old.and_then(|name| self.by_name.get(name)) else { return };
        let Some(new) = new.map(Rc::<[u8]>::from) else { return };
        self.by_name.insert(new.clone(), index);
        self.with(index, |object| {
            object.count(event.call);
            object.also.push(new);
        });
    }

    pub(super) fn named(&mut self, index: ObjectIndex, name: Option<&[u8]>) {
        let Some(name) = name else { return };
        let name: Rc<[u8]> = Rc::from(name);
        self.by_name.insert(name.clone(), index);
        self.with(index, |object| object.name = Some(name));
    }

    fn sized(&mut self, event: &Event, index: ObjectIndex) {
        let word = |at: usize| {
            let bytes = event.data.get(at..at + 8)?;
            Some(bytes.iter().rev().fold(0u64, |word, &byte| word << 8 | u64::from(byte)))
        };
        let moment = if event.call == Call::Fstat { None } else { Some(self.stacks.moment(event)) };
        self.with(index, |object| match event.call {
            Call::Ftruncate => object.size = Some(event.arg(1)),
            Call::Fallocate if event.arg(1) & FALLOC_FL_KEEP_SIZE == 0 => {
                object.at_least(event.arg(2).saturating_add(event.arg(3)));
            }
            Call::PosixFallocate => object.at_least(event.arg(1).saturating_add(event.arg(2))),
            // Mode and size, as the record keeps a struct stat.
            Call::Fstat => {
                if let (Some(mode), Some(size)) = (word(0), word(8)) {
                    object.size = Some(size);
                    object.mode = Some(mode as u32 & 0o7777);
                }
            }
            _ => {}
        });
        self.with(index, |object| object.sized = moment.or(object.sized));
    }

    fn controlled(&mut self, event: &Event, index: ObjectIndex) {
        if event.arg(1) & !IPC_64 == IPC_RMID {
            let moment = self.stacks.moment(event);
            // A second removal of a segment that is still attached succeeds too.
            self.with(index, |object| object.removed = object.removed.or(Some(moment)));
            self.drop_key(index);
            return;
        }
        let stat = matches!(event.arg(1) & !IPC_64, 2 | 13 | 15);
        if let Some(ds) = ShmidDs::from_bytes(event.data).filter(|_| stat) {
            self.with(index, |object| {
                object.size = Some(ds.segsz);
                object.mode = Some(ds.mode & 0o777);
                // Marked for removal it has no key any more.
                if ds.mode & procfs::SHM_DEST == 0 {
                    object.key = Some(ds.key);
                }
            });
        }
    }

    fn mapped(&mut self, event: &Event, object: Option<ObjectIndex>) {
        let (page, start) = (self.page, event.ret as u64);
        let attachment = event.call == Call::Shmat;
        let asked = if attachment {
            object.and_then(|index| self.object(index)?.size).unwrap_or(page.bytes())
        } else {
            event.arg(1)
        };
        if let (Some(index), Some(size)) = (object, size_when_mapped(event)) {
            self.with(index, |object| object.size = Some(size));
        }
        let made = self.stacks.moment(event);
        let offset = if attachment { 0 } else { event.arg(5) };
        let Some(live) = self.live_of(event.process, event.pid) else { return };
        let end = page.end_of(start, asked);
        let ours = object.filter(|_| attachment || event.arg(3) & MAP_ANONYMOUS == 0);
        let gone = match ours {
            Some(object) => {
                live.ranges.insert(start, end, Rc::new(Holding { object, made, asked, offset, attachment }))
            }
            None => live.ranges.clear(start, end),
        };
        live.note_gone(&gone, made);
    }

    fn remapped(&mut self, event: &Event) {
        let made = self.stacks.moment(event);
        let keep = event.arg(3) & MREMAP_DONTUNMAP != 0;
        let (page, old, new) = (self.page, event.arg(0), event.ret as u64);
        let Some(live) = self.live_of(event.process, event.pid) else { return };
        let object = live.ranges.at(old).map(|(_, piece)| piece.of.object);
        // Where it was, an shmdt finds nothing any more.
        let moved: Gone = match live.ranges.at(old) {
            Some((start, piece)) if old != new && event.arg(1) != 0 && !keep => alloc::vec![(start, piece.clone())],
            _ => Vec::new(),
        };
        live.note_gone(&moved, made);
        let gone = live.ranges.remap(page, (old, event.arg(1)), (new, event.arg(2)), keep);
        live.note_gone(&gone, made);
        if let Some(index) = object {
            self.with(index, |object| object.count(event.call));
        }
    }

    /// What a call lets go of, descriptors or addresses.
    fn release(&mut self, event: &Event) {
        let by = match event.call {
            Call::Munmap | Call::Shmdt => self.stacks.moment(event),
            Call::Close | Call::CloseRange | Call::Closefrom => return self.closed(event),
            _ => return,
        };
        let page = self.page;
        let Some(live) = self.live_of(event.process, event.pid) else { return };
        let start = event.arg(0);
        let gone = if event.call == Call::Shmdt {
            detached(live, start)
        } else {
            live.ranges.clear(start, page.end_of(start, event.arg(1)))
        };
        live.note_gone(&gone, by);
        let mut counted = None;
        for (_, piece) in &gone {
            if counted != Some(piece.of.object) {
                counted = Some(piece.of.object);
                self.with(piece.of.object, |object| object.count(event.call));
            }
        }
    }

    fn closed(&mut self, event: &Event) {
        let Some(live) = self.live_of(event.process, event.pid) else { return };
        let top = |word: u64| i32::try_from(word).unwrap_or(i32::MAX);
        match event.call {
            Call::CloseRange if event.arg(2) & CLOSE_RANGE_CLOEXEC != 0 => {}
            Call::CloseRange => live.close(top(event.arg(0)), top(event.arg(1))),
            Call::Closefrom => live.close(fd(event.arg(0)).max(0), i32::MAX),
            _ => live.close(fd(event.arg(0)), fd(event.arg(0))),
        }
    }

    /// The child begins with a copy of what its parent holds now.
    fn forked(&mut self, event: &Event) {
        let Ok(pid) = u32::try_from(event.ret) else { return };
        if let Some(&slot) = self.children.get(&(event.process, event.pid, pid)) {
            // The parent may not have done anything yet; its own inheritance comes first.
            self.tenant(event.process, event.pid);
            self.tenant(slot, pid);
        }
    }
}

/// Takes out what `shmdt(address)` detaches.
fn detached(live: &mut Live, address: u64) -> Gone {
    live.ranges.detach(address, |first, this| match first {
        None => this.attachment,
        Some(first) => Rc::ptr_eq(first, this),
    })
}
