//! The end: the verdict is spoken after the program's last handler, in a contained child that cannot hurt it.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use shmaudit_core::options::Target;

use crate::audit::{self, Audit};
use crate::fds;
use crate::log::Log;
use crate::{conclude, contain, errno, filter, process, sys, vfork};

static STATUS: AtomicI32 = AtomicI32::new(0);
static CONCLUDED: AtomicBool = AtomicBool::new(false);

/// The program says with what status it ends.
pub fn status_is(status: c_int) {
    STATUS.store(status, Ordering::Relaxed);
}

/// Registers our handlers: first, so that they run last.
pub fn register(on_exit: usize, at_quick_exit: usize) {
    if on_exit != 0 {
        // SAFETY: on_exit(3)'s prototype.
        let on_exit: extern "C" fn(extern "C" fn(c_int, *mut c_void), *mut c_void) -> c_int =
            unsafe { core::mem::transmute(on_exit) };
        if on_exit(after_exit, core::ptr::null_mut()) == 0 {
            HANDLED.store(true, Ordering::Relaxed);
        }
    }
    if at_quick_exit != 0 {
        // SAFETY: the prototype that the C library's own at_quick_exit calls it by.
        let at_quick_exit: extern "C" fn(extern "C" fn(*mut c_void), *mut c_void) -> c_int =
            unsafe { core::mem::transmute(at_quick_exit) };
        at_quick_exit(after_quick_exit, core::ptr::null_mut());
    }
}

/// Whether the C library calls us after all other handlers, with the status.
static HANDLED: AtomicBool = AtomicBool::new(false);

extern "C" fn after_exit(status: c_int, _: *mut c_void) {
    let Some(audit) = audit::ready().filter(|_| !vfork::is_child()) else { return };
    process::leaving(&audit.recorder, status);
    let wanted = last_word(audit, status);
    if wanted != status {
        // A handler may call exit again: the remaining handlers run (there are none left but the flushing of stdio), and
        // the new status counts.
        if let Some(next) = crate::next::NEXT.exit.get() {
            // SAFETY: we are inside exit, on the thread that called it.
            unsafe { next(wanted) }
        }
    }
}

extern "C" fn after_quick_exit(_: *mut c_void) {
    let Some(audit) = audit::ready() else { return };
    let status = STATUS.load(Ordering::Relaxed);
    let wanted = last_word(audit, status);
    if wanted != status {
        sys::exit_group(wanted);
    }
}

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destructor;

/// musl has no `on_exit`: its destructors are the last that runs. The status of a return from `main` is not known there.
extern "C" fn destructor() {
    if HANDLED.load(Ordering::Relaxed) {
        return;
    }
    let Some(audit) = audit::ready() else { return };
    let status = STATUS.load(Ordering::Relaxed);
    process::leaving(&audit.recorder, status);
    last_word(audit, status);
}

/// Speaks the verdict, once. Returns the status to end with.
pub fn last_word(audit: &'static Audit, status: c_int) -> c_int {
    if CONCLUDED.swap(true, Ordering::AcqRel) {
        return status;
    }
    let kept = errno::Kept::new();
    if !filter::is_own() {
        note_inner_closes(audit);
        audit.log.iter().for_each(Log::tell_lost);
    }
    process::ending(&audit.recorder);
    let errors = if wanted(audit) { conclude::report(audit, true, None).unwrap_or(-1) } else { 0 };
    process::ended(&audit.recorder);
    wrong!(UnmapAtEnd => { audit.recorder.unmap() });
    drop(kept);
    let code = c_int::from(audit.options.error_exitcode);
    if errors > 0 && status == 0 && code != 0 { code } else { status }
}

/// Descriptors also end inside the C library (`fclose`): those that are no longer what we know them as are noted as
/// closed, so that nobody reports them as open later.
fn note_inner_closes(audit: &Audit) {
    if !audit.recorder.is_concerned() {
        return;
    }
    for (fd, object) in fds::objects_between(0, fds::highest()) {
        // By the kernel's call: other libraries' destructors have run, and a next definition may be one of theirs.
        let same = sys::fstat(fd).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (object.dev, object.ino));
        if !same {
            fds::set(fd, None);
            audit.note_unseen_close(fd, object);
        }
    }
}

fn wanted(audit: &Audit) -> bool {
    (audit.options.report != Target::Off || audit.options.error_exitcode != 0)
        && audit.recorder.is_concerned()
        && !filter::is_own()
}

/// After a panic outside of a walk: in the contained child it ends the child. Elsewhere there is none: the objects of the
/// hook path are checked for it.
pub fn give_up() -> ! {
    sys::exit_group(contain::GAVE_UP)
}
