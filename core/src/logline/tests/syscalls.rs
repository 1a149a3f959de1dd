//! System calls of every call: strace 6.1's own output, seen with glibc 2.36 on x86-64. For aarch64, by glibc's sources.

use super::*;
use crate::logline::syscalls::{Machine, on_machine};
use std::borrow::ToOwned;

/// The system call's line without its prefix; empty where there is none.
fn kernel(event: &Event, machine: Machine) -> String {
    let line = written(4096, |line| on_machine(line, event, machine));
    match line.strip_prefix("shmaudit[7:8]   -> ") {
        Some(call) => call.strip_suffix('\n').unwrap().to_owned(),
        None => line,
    }
}

fn seen(event: &Event) -> String {
    kernel(event, Machine::X86_64)
}

fn seen_aarch64(event: &Event) -> String {
    kernel(event, Machine::Aarch64)
}

#[test]
fn system_calls_of_names() {
    let long = |length| [&b"a"[..]].repeat(length).concat();
    let (room, longer) = (long(259), long(260));
    assert!(seen(&event(Call::ShmOpen, &[0, 0], &room, 3)).starts_with("openat(AT_FDCWD, \"/dev/shm/aaaa"));
    all!(seen;
        event(Call::ShmOpen, &[CREATE, 0o777], b"shmtest", 3) =>
            "openat(AT_FDCWD, \"/dev/shm/shmtest\", O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0777)",
        event(Call::ShmOpen, &[0, 0o777], "///n\n\x1bé".as_bytes(), 3) =>
            "openat(AT_FDCWD, \"/dev/shm/n\\n\\33\\303\\251\", O_RDONLY|O_NOFOLLOW|O_CLOEXEC)",
        event(Call::ShmOpen, &[0, 0], b"/<\x01>7\"\\", 3) =>
            "openat(AT_FDCWD, \"/dev/shm/<\\1>7\\\"\\\\\", O_RDONLY|O_NOFOLLOW|O_CLOEXEC)",
        failed(Call::ShmOpen, &[2, 0], b"/.", 22) => "openat(AT_FDCWD, \"/dev/shm/.\", O_RDWR|O_NOFOLLOW|O_CLOEXEC)",
        failed(Call::ShmOpen, &[2, 0], b"/a/b", 22) => "",
        failed(Call::ShmOpen, &[2, 0], b"//", 22) => "",
        failed(Call::ShmOpen, &[2, 0], &longer, 36) => "",
        event(Call::ShmUnlink, &[], b"/shmtest", 0) => "unlink(\"/dev/shm/shmtest\")",
        failed(Call::ShmUnlink, &[], b"a/b", 2) => "",
        failed(Call::Ftok, &[0], b"filename", 2) => "newfstatat(AT_FDCWD, \"filename\", ..., 0)",
        event(Call::Open, &[CREATE, 0o640], b"/dev/shm/o", 3) => "openat(AT_FDCWD, \"/dev/shm/o\", O_RDWR|O_CREAT, 0640)",
        event(Call::Open, &[0, 0o640], b"/dev/shm/o", 3) => "openat(AT_FDCWD, \"/dev/shm/o\", O_RDONLY)",
        event(Call::Openat, &[5, CREATE, 0o600], b"/dev/shm/o", 3) => "openat(5, \"/dev/shm/o\", O_RDWR|O_CREAT, 0600)",
        event(Call::Creat, &[0o600], b"/dev/shm/o", 3) => "creat(\"/dev/shm/o\", 0600)",
        event(Call::Unlink, &[], b"/dev/shm/q", 0) => "unlink(\"/dev/shm/q\")",
        event(Call::Unlinkat, &[7, 0x200], b"/dev/shm/q", 0) => "unlinkat(7, \"/dev/shm/q\", AT_REMOVEDIR)",
        event(Call::Rename, &[], b"/dev/shm/o\0/dev/shm/p", 0) => "rename(\"/dev/shm/o\", \"/dev/shm/p\")",
        event(Call::Renameat, &[AT_FDCWD, 7], b"/dev/shm/p\0/dev/shm/o", 0) =>
            "renameat(AT_FDCWD, \"/dev/shm/p\", 7, \"/dev/shm/o\")",
        event(Call::Renameat2, &[AT_FDCWD, 7, 0], b"/dev/shm/o\0/dev/shm/p", 0) =>
            "renameat(AT_FDCWD, \"/dev/shm/o\", 7, \"/dev/shm/p\")",
        event(Call::Renameat2, &[AT_FDCWD, AT_FDCWD, 1], b"/dev/shm/p\0/dev/shm/q", 0) =>
            "renameat2(AT_FDCWD, \"/dev/shm/p\", AT_FDCWD, \"/dev/shm/q\", RENAME_NOREPLACE)",
        event(Call::MemfdCreate, &[1], b"name", 5) => "memfd_create(\"name\", MFD_CLOEXEC)",
        event(Call::MemfdCreate, &[0], &long(32), 5) => "memfd_create(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", 0)",
        event(Call::MemfdCreate, &[0], &[&long(31)[..], b"\nb"].concat(), 5) =>
            "memfd_create(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\n\"..., 0)",
        failed(Call::MemfdCreate, &[0], b"", libc::EFAULT) => "memfd_create(..., 0)",
    );
    all!(seen_aarch64;
        event(Call::ShmUnlink, &[], b"/shmtest", 0) => "unlinkat(AT_FDCWD, \"/dev/shm/shmtest\", 0)",
        event(Call::Creat, &[0o600], b"/dev/shm/o", 3) => "openat(AT_FDCWD, \"/dev/shm/o\", O_WRONLY|O_CREAT|O_TRUNC, 0600)",
        event(Call::Unlink, &[], b"/dev/shm/q", 0) => "unlinkat(AT_FDCWD, \"/dev/shm/q\", 0)",
        event(Call::Rename, &[], b"/dev/shm/o\0/dev/shm/p", 0) => "renameat(AT_FDCWD, \"/dev/shm/o\", AT_FDCWD, \"/dev/shm/p\")",
    );
}

#[test]
fn system_calls_of_segments_and_mappings() {
    let ds = shmid_ds();
    let fd = int(-1);
    all!(seen;
        event(Call::Shmget, &[fd, 4096, int(libc::IPC_CREAT | 0o777)], b"", 1) => "shmget(0xffffffff, 4096, IPC_CREAT|0777)",
        failed(Call::Shmget, &[5, u64::MAX, 0], b"", 2) => "shmget(0x5, 18446744073709551615, 000)",
        event(Call::Shmat, &[454_000_700, 0, 0o10000], b"", 0x1000) => "shmat(454000700, NULL, SHM_RDONLY)",
        event(Call::Shmdt, &[0x7fa7_ea8b_0000], b"", 0) => "shmdt(0x7fa7ea8b0000)",
        event(Call::Shmctl, &[454_000_700, 2, 0x10], &ds, 0) =>
            "shmctl(454000700, IPC_STAT, {shm_perm={uid=0, gid=0, mode=0777, key=17, cuid=0, cgid=0}, shm_segsz=4096, \
             shm_cpid=3046, shm_lpid=3046, shm_nattch=2, shm_atime=1795418716, shm_dtime=0, shm_ctime=1795418716})",
        failed(Call::Shmctl, &[fd, 99, 0], b"", 22) => "shmctl(-1, 0x63 /* SHM_??? */, NULL)",
        event(Call::Shmctl, &[454_000_700, 0, 0x7fff_102c_5110], b"", 0) => "shmctl(454000700, IPC_RMID, 0x7fff102c5110)",
        event(Call::Ftruncate, &[3, 4096], b"", 0) => "ftruncate(3, 4096)",
        failed(Call::Ftruncate, &[3, u64::MAX], b"", 22) => "ftruncate(3, 18446744073709551615)",
        failed(Call::Fallocate, &[3, 0, u64::MAX, -5i64 as u64], b"", 22) => "fallocate(3, 0, -1, -5)",
        failed(Call::PosixFallocate, &[99, 0, u64::MAX], b"", 9) => "fallocate(99, 0, 0, -1)",
        event(Call::Fstat, &[3], &stat(0o100755, 8192), 0) =>
            "newfstatat(3, \"\", {st_mode=S_IFREG|0755, st_size=8192, ...}, AT_EMPTY_PATH)",
        failed(Call::Fstat, &[99], b"", 9) => "newfstatat(99, \"\", ..., AT_EMPTY_PATH)",
        failed(Call::Fstat, &[fd], b"", 9) => "",
        event(Call::Mmap, &[0, 8192, 1, 1, 3, 0x1000], b"", 0x1000) => "mmap(NULL, 8192, PROT_READ, MAP_SHARED, 3, 0x1000)",
        failed(Call::Mmap, &[0, 4096, 1, 1, 3, -4096i64 as u64], b"", 75) =>
            "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0xfffffffffffff000)",
        failed(Call::Mmap, &[0, 4096, 1, 1, 3, 7], b"", 22) => "",
        event(Call::Munmap, &[0x1000, 8192], b"", 0) => "munmap(0x1000, 8192)",
        event(Call::Mremap, &[0x1000, 1, 2, 5, 0x2000], b"", 0x2000) => "mremap(0x1000, 1, 2, MREMAP_MAYMOVE|MREMAP_DONTUNMAP)",
        failed(Call::Mremap, &[0x1000, 1, 2, 2, 0x2000], b"", 22) => "mremap(0x1000, 1, 2, MREMAP_FIXED)",
        event(Call::Mremap, &[0x1000, 1, 2, 3, 0x2000], b"", 0x2000) =>
            "mremap(0x1000, 1, 2, MREMAP_MAYMOVE|MREMAP_FIXED, 0x2000)",
        begun(Call::Close, &[3], b"") => "close(3)",
        event(Call::Dup, &[3], b"", 4) => "dup(3)",
        failed(Call::Dup2, &[int(-5), 4], b"", 9) => "dup2(-5, 4)",
        failed(Call::Dup3, &[3, 3, int(libc::O_RDWR | libc::O_CLOEXEC)], b"", 22) => "dup3(3, 3, O_CLOEXEC|0x2)",
        event(Call::Fcntl, &[3, 0, 20], b"", 20) => "fcntl(3, F_DUPFD, 20)",
        failed(Call::Fcntl, &[3, 0, fd], b"", 22) => "fcntl(3, F_DUPFD, 4294967295)",
        failed(Call::Fcntl, &[3, 0, u64::MAX], b"", 22) => "fcntl(3, F_DUPFD, -1)",
        event(Call::CloseRange, &[50, fd, 4], b"", 0) => "close_range(50, 4294967295, CLOSE_RANGE_CLOEXEC)",
        event(Call::Closefrom, &[60], b"", 0) => "close_range(60, 4294967295, 0)",
        event(Call::Closefrom, &[int(-3)], b"", 0) => "close_range(0, 4294967295, 0)",
    );
    all!(seen_aarch64;
        event(Call::Dup2, &[3, 9], b"", 9) => "dup3(3, 9, 0)",
        event(Call::Dup2, &[3, 3], b"", 3) => "fcntl(3, F_GETFL)",
    );
}

#[test]
fn system_calls_of_processes() {
    let clone = int(libc::CLONE_PARENT_SETTID | libc::CLONE_CHILD_SETTID | libc::SIGCHLD);
    all!(seen;
        event(Call::Fork, &[], b"", 9) =>
            "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=...)",
        event(Call::Clone, &[int(libc::CLONE_VM | libc::SIGCHLD), 0x55b6_8d18_91cd], b"", 9) =>
            "clone(child_stack=0x55b68d1891b0, flags=CLONE_VM|SIGCHLD)",
        event(Call::Clone, &[clone, 0x55b6_8d18_91d0], b"", 9) =>
            "clone(child_stack=0x55b68d1891c0, flags=CLONE_PARENT_SETTID|CLONE_CHILD_SETTID|SIGCHLD, parent_tid=..., \
             child_tidptr=...)",
        failed(Call::Clone, &[clone, 0], b"", 22) => "",
        event(Call::PosixSpawn, &[], b"/bin/true", 0) =>
            "clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=..., stack_size=...}, 88)",
        failed(Call::Execv, &[], b"/bin/nottrue", 2) => "execve(\"/bin/nottrue\", ...)",
        failed(Call::Execvp, &[], b"./nottrue", 2) => "execve(\"./nottrue\", ...)",
        failed(Call::Execvp, &[], b"nottrue", 2) => "",
        failed(Call::Execveat, &[AT_FDCWD], b"/nottrue", 2) => "execveat(AT_FDCWD, \"/nottrue\", ...)",
        failed(Call::Fexecve, &[77], b"", 9) => "execveat(77, \"\", ..., AT_EMPTY_PATH)",
        failed(Call::Fexecve, &[int(-1)], b"", 22) => "",
        event(Call::Exit, &[256], b"", 0) => "exit_group(256)",
        event(Call::UnderscoreExit, &[int(-1)], b"", 0) => "exit_group(-1)",
        event(Call::QuickExit, &[258], b"", 0) => "exit_group(258)",
    );
    assert_eq!(seen_aarch64(&event(Call::Clone, &[17, 0x1019], b"", 9)), "clone(child_stack=0x1010, flags=SIGCHLD)");
}
