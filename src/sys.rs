//! The few system calls the library makes for itself, without the C library and so without errno, locks or cancellation.
//!
//! Results are the kernel's: negative is `-errno`.

use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::{filter, own};

/// The largest page that a kernel of this machine may have: aarch64's are built for 4, 16 or 64 KiB.
pub const PAGE_MOST: usize = if cfg!(target_arch = "aarch64") { 64 << 10 } else { PAGE_LEAST };
/// The smallest.
const PAGE_LEAST: usize = 4 << 10;

static PAGE: AtomicUsize = AtomicUsize::new(PAGE_LEAST);

/// The size of a page here, as the start was told; the smallest until then.
#[inline(always)]
pub fn page_size() -> usize {
    if PAGE_MOST == PAGE_LEAST { PAGE_LEAST } else { PAGE.load(Ordering::Relaxed) }
}

/// Bytes of the pages that `length` bytes from a page's beginning take.
#[inline(always)]
pub fn whole_pages(length: usize) -> usize {
    length.saturating_add(page_size() - 1) & !(page_size() - 1)
}

/// Notes the size of a page; 0 where it is not known.
pub fn set_page_size(bytes: usize) {
    if bytes.is_power_of_two() && (PAGE_LEAST..=PAGE_MOST).contains(&bytes) {
        PAGE.store(bytes, Ordering::Relaxed);
    }
}

/// System call `number` with six arguments.
///
/// # Safety
/// What the call does with its arguments must be sound: pointers valid for what the kernel reads and writes.
#[inline(always)]
pub unsafe fn call(number: i64, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel's calling convention; it keeps every register but rax, rcx and r11. The caller vouches for the
    // arguments.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
             in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above; the kernel keeps every register but x0.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d,
             in("x4") e, in("x5") f, options(nostack));
    }
    result
}

/// A NUL-terminated path for the calls below.
pub type CStr<'a> = &'a core::ffi::CStr;

/// An open descriptor of the library's own, closed when dropped.
pub struct Fd(pub i32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: closes a descriptor that only we know; touches no memory.
        unsafe { call(libc::SYS_close, self.0 as usize, 0, 0, 0, 0, 0) };
    }
}

/// Opens `path` with `flags` and `O_CLOEXEC`.
pub fn open(path: CStr, flags: i32, mode: u32) -> Result<Fd, i32> {
    open_at(libc::AT_FDCWD, path, flags, mode)
}

/// Opens `path` under `dir`.
pub fn open_at(dir: i32, path: CStr, flags: i32, mode: u32) -> Result<Fd, i32> {
    // SAFETY: the path ends in NUL and lives through the call.
    let fd = unsafe {
        call(
            libc::SYS_openat,
            dir as usize,
            path.as_ptr() as usize,
            (flags | libc::O_CLOEXEC) as usize,
            mode as usize,
            0,
            0,
        )
    };
    if fd < 0 { Err(-fd as i32) } else { Ok(Fd(fd as i32)) }
}

/// Reads into `buffer`; the number of bytes, or the errno.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize, i32> {
    loop {
        // SAFETY: the buffer is ours and as long as we say.
        let got = unsafe { call(libc::SYS_read, fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0) };
        if got != -(libc::EINTR as isize) {
            return if got < 0 { Err(-got as i32) } else { Ok(got as usize) };
        }
    }
}

/// Writes once; the number of bytes, or the errno.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, i32> {
    // SAFETY: the kernel only reads the bytes.
    let put = unsafe { call(libc::SYS_write, fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0) };
    if put < 0 { Err(-put as i32) } else { Ok(put as usize) }
}

/// Maps `length` bytes of zeros.
pub fn map_anonymous(length: usize, flags: i32) -> Result<*mut u8, i32> {
    // SAFETY: a new mapping where the kernel chooses, overlapping nothing.
    let at = unsafe {
        call(
            libc::SYS_mmap,
            0,
            length,
            (libc::PROT_READ | libc::PROT_WRITE) as usize,
            (flags | libc::MAP_ANONYMOUS) as usize,
            usize::MAX,
            0,
        )
    };
    if (-4095..0).contains(&at) {
        return Err(-at as i32);
    }
    own::add(at as usize, length);
    Ok(at as *mut u8)
}

/// Maps a file to be written, shared.
pub fn map_shared(file: &Fd, length: usize) -> Result<*mut u8, i32> {
    let prot = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: a new mapping where the kernel chooses.
    let at = unsafe { call(libc::SYS_mmap, 0, length, prot, libc::MAP_SHARED as usize, file.0 as usize, 0) };
    if (-4095..0).contains(&at) {
        return Err(-at as i32);
    }
    own::add(at as usize, length);
    Ok(at as *mut u8)
}

/// Takes a mapping of ours away.
///
/// # Safety
/// Nothing refers to it any more.
pub unsafe fn unmap(at: *mut u8, length: usize) {
    own::remove(at as usize);
    // SAFETY: the caller vouches.
    unsafe { call(libc::SYS_munmap, at as usize, length, 0, 0, 0, 0) };
}

/// `fstat` of a descriptor of our own, by the kernel's own call.
pub fn fstat(fd: i32) -> Result<libc::stat, i32> {
    stat_at(fd, c"", libc::AT_EMPTY_PATH)
}

/// What a file is.
#[derive(Clone, Copy)]
pub struct Identity {
    pub dev: u64,
    pub ino: u64,
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    pub uid: u32,
    pub size: u64,
}

/// The file behind a descriptor, without its times where the kernel lets one choose. Since Linux 6.13 whoever has seen a
/// file's times makes its next change take a new one, which for a file that is written to line by line costs more than
/// the line.
pub fn identity(fd: i32) -> Result<Identity, i32> {
    const TYPE_MODE_UID_INO_SIZE: u32 = 0x1 | 0x2 | 0x8 | 0x100 | 0x200;
    let Some(statx) = statx(fd, TYPE_MODE_UID_INO_SIZE) else {
        let stat = fstat(fd)?;
        return Ok(Identity {
            dev: stat.st_dev,
            ino: stat.st_ino,
            mode: stat.st_mode,
            uid: stat.st_uid,
            size: stat.st_size as u64,
        });
    };
    // The mask of what is filled is the first word; the owner stands at byte 20, the mode at 28, the inode at 32, the size
    // at 40, the device at 136.
    let (major, minor) = (u64::from(statx[34]), u64::from(statx[35]));
    let dev = (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32;
    let ino = u64::from(statx[8]) | u64::from(statx[9]) << 32;
    let size = u64::from(statx[10]) | u64::from(statx[11]) << 32;
    Ok(Identity { dev, ino, mode: statx[7] & 0xFFFF, uid: statx[5], size })
}

/// `statx` of a descriptor, as 32-bit words: `None` where the kernel does not have all of `mask`, or where the call is not
/// ours to make.
fn statx(fd: i32, mask: u32) -> Option<[u32; 64]> {
    if filter::is_none() { statx_at(fd, c"", libc::AT_EMPTY_PATH, mask) } else { None }
}

/// `statx` of `path` under `dir`, as 32-bit words; `None` where the kernel does not have all of `mask`.
fn statx_at(dir: i32, path: CStr, flags: i32, mask: u32) -> Option<[u32; 64]> {
    let mut statx = [0u32; 64];
    // SAFETY: fills one struct statx, of 256 bytes.
    let result = unsafe {
        let (path, flags) = (path.as_ptr() as usize, flags as usize);
        call(libc::SYS_statx, dir as usize, path, flags, mask as usize, &raw mut statx as usize, 0)
    };
    if result < 0 || statx[0] & mask != mask { None } else { Some(statx) }
}

/// The path that a descriptor was opened by, as `/proc` has it: how many bytes of `room` it takes. `None` without `/proc`.
pub fn link_of(fd: i32, room: &mut [u8]) -> Option<usize> {
    const BEFORE: &[u8] = b"/proc/thread-self/fd/";
    let mut digits = [0; 10];
    let (mut rest, mut first) = (fd.unsigned_abs(), 0);
    for (at, place) in digits.iter_mut().enumerate().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        first = at;
        if rest == 0 {
            break;
        }
    }
    let mut path = [0; BEFORE.len() + 11];
    for (place, &byte) in path.iter_mut().zip(BEFORE.iter().chain(digits.iter().skip(first))) {
        *place = byte;
    }
    // SAFETY: the kernel reads the path up to its NUL, and fills at most as many bytes as we say.
    let length = unsafe {
        let (path, into) = (path.as_ptr() as usize, room.as_mut_ptr() as usize);
        call(libc::SYS_readlinkat, libc::AT_FDCWD as usize, path, into, room.len(), 0, 0)
    };
    usize::try_from(length).ok()
}

/// `newfstatat`.
pub fn stat_at(dir: i32, path: CStr, flags: i32) -> Result<libc::stat, i32> {
    let mut stat = core::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel reads the path up to its NUL and fills one struct stat.
    let result = unsafe {
        call(
            libc::SYS_newfstatat,
            dir as usize,
            path.as_ptr() as usize,
            stat.as_mut_ptr() as usize,
            flags as usize,
            0,
            0,
        )
    };
    // SAFETY: zeroed is a valid struct stat, and the kernel filled it.
    if result < 0 { Err(-result as i32) } else { Ok(unsafe { stat.assume_init() }) }
}

/// `statfs` of a path; the kernel's struct is libc's on 64-bit systems.
pub fn file_system(path: CStr) -> Option<libc::statfs> {
    let mut facts = core::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the kernel reads the path up to its NUL and fills one struct statfs.
    let result = unsafe { call(libc::SYS_statfs, path.as_ptr() as usize, facts.as_mut_ptr() as usize, 0, 0, 0, 0) };
    // SAFETY: zeroed is a valid struct statfs, and the kernel filled it.
    if result < 0 { None } else { Some(unsafe { facts.assume_init() }) }
}

/// The soft limit of a resource, `u64::MAX` where there is none or it cannot be asked.
pub fn limit(resource: u32) -> u64 {
    let mut limits = [u64::MAX; 2];
    // SAFETY: fills two words. The old call asks for no permission that one's own limits would need.
    unsafe { call(libc::SYS_getrlimit, resource as usize, &raw mut limits as usize, 0, 0, 0, 0) };
    limits[0]
}

/// Raises the soft limit of a resource of this process to its hard one.
pub fn lift_limit(resource: u32) {
    let mut limits = [u64::MAX; 2];
    // SAFETY: fills two words, then reads them.
    unsafe {
        if call(libc::SYS_prlimit64, 0, resource as usize, 0, &raw mut limits as usize, 0, 0) == 0 {
            limits[0] = limits[1];
            call(libc::SYS_prlimit64, 0, resource as usize, &raw const limits as usize, 0, 0, 0);
        }
    }
}

/// Minor faults of the calling process.
pub fn own_faults() -> u64 {
    let mut usage = core::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: fills one struct rusage, of which zeroed is a valid one.
    unsafe {
        call(libc::SYS_getrusage, libc::RUSAGE_SELF as usize, usage.as_mut_ptr() as usize, 0, 0, 0, 0);
        usage.assume_init().ru_minflt as u64
    }
}

/// When a file came into being, in nanoseconds since 1970; `None` where the kernel or its file system does not say.
pub fn birth(fd: i32) -> Option<u64> {
    born(statx(fd, STATX_BTIME)?)
}

/// The same of `path` under `dir`; the call is the library's own, made where it concludes.
pub fn birth_at(dir: i32, path: CStr, flags: i32) -> Option<u64> {
    born(statx_at(dir, path, flags, STATX_BTIME)?)
}

const STATX_BTIME: u32 = 0x800;

/// The birth stands at byte 80: seconds, nanoseconds.
fn born(statx: [u32; 64]) -> Option<u64> {
    let seconds = u64::from(statx[20]) | u64::from(statx[21]) << 32;
    seconds.checked_mul(1_000_000_000)?.checked_add(u64::from(statx[22]))
}

/// Whether two links lead to the same; yes where they cannot be read.
pub fn same_link(one: CStr, other: CStr) -> bool {
    match (stat_at(libc::AT_FDCWD, one, 0), stat_at(libc::AT_FDCWD, other, 0)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        (Ok(_), Err(libc::ENOENT)) => false,
        _ => true,
    }
}

/// A copy of `length` bytes of our own memory at `from`, or of as many as there are before a page that cannot be read: one
/// that is not mapped, or that its file does not have any more.
pub fn copy(from: *const u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(length).is_err() {
        return bytes;
    }
    let (to, from) = ([bytes.as_mut_ptr() as usize, length], [from as usize, length]);
    // SAFETY: fills at most the room reserved; says how much it filled.
    unsafe {
        let (to, from) = (&raw const to as usize, &raw const from as usize);
        let got = call(libc::SYS_process_vm_readv, getpid() as usize, to, 1, from, 1, 0);
        bytes.set_len((got.max(0) as usize).min(length));
    }
    bytes
}

/// Sleeps so many nanoseconds, less than a second.
pub fn nap(nanoseconds: i64) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: nanoseconds };
    // SAFETY: reads one timespec.
    unsafe { call(libc::SYS_nanosleep, &raw mut time as usize, 0, 0, 0, 0, 0) };
}

/// Whether the calling thread runs on its alternate signal stack.
pub fn is_on_signal_stack() -> bool {
    let mut stack = libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: fills one stack_t.
    unsafe { call(libc::SYS_sigaltstack, 0, &raw mut stack as usize, 0, 0, 0, 0) };
    stack.ss_flags & libc::SS_ONSTACK != 0
}

/// Whether the calling thread is the process's only one; no where that cannot be known.
pub fn is_only_thread() -> bool {
    // A directory has two links, and one more for each directory in it.
    stat_at(libc::AT_FDCWD, c"/proc/self/task", 0).is_ok_and(|tasks| tasks.st_nlink == 3)
}

/// Our process id.
pub fn getpid() -> i32 {
    // SAFETY: no arguments.
    unsafe { call(libc::SYS_getpid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// Our parent's process id.
pub fn getppid() -> i32 {
    // SAFETY: no arguments.
    unsafe { call(libc::SYS_getppid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// Our thread id.
pub fn gettid() -> i32 {
    // SAFETY: no arguments.
    unsafe { call(libc::SYS_gettid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// Ends this process without any handler.
pub fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: does not return.
        unsafe { call(libc::SYS_exit_group, status as usize, 0, 0, 0, 0, 0) };
    }
}

/// Whether the process exists, as far as signals can tell.
pub fn exists(pid: u32) -> bool {
    // SAFETY: signal 0 is a question only.
    unsafe { call(libc::SYS_kill, pid as usize, 0, 0, 0, 0, 0) != -(libc::ESRCH as isize) }
}

/// The calling thread's pointer: the address that identifies it as long as it lives.
#[inline(always)]
pub fn thread_pointer() -> usize {
    let at: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the ABI's thread control block begins with its own address, in every C library.
    unsafe {
        asm!("mov {}, fs:0", out(reg) at, options(nostack, readonly, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) at, options(nomem, nostack, preserves_flags));
    }
    at
}

/// A return address without the signature that code for pointer authentication has put into its unused bits: `xpaclri`, which
/// processors that know none take for a `nop`.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn without_signature(address: u64) -> u64 {
    let plain: u64;
    // SAFETY: changes one register.
    unsafe { asm!("hint #7", inlateout("x30") address => plain, options(nomem, nostack, preserves_flags)) };
    plain
}

/// The processor's tick counter.
#[inline(always)]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: only used after the start found it to be allowed and constant.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(target_arch = "aarch64")]
    {
        let value: u64;
        // SAFETY: reads a counter that user space may read.
        unsafe { asm!("mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }
}
