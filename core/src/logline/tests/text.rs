//! Text lines of every call.

use super::*;
use std::borrow::ToOwned;

/// The text line between the clock and the duration.
fn call_text(event: &Event, object_path: Option<&[u8]>) -> String {
    let line = written(4096, |line| text(line, event, &extra(object_path)));
    let line = line.strip_prefix("shmaudit[7:8] 07:08:09.123456 ").unwrap().strip_suffix('\n').unwrap();
    let has_duration = event.state == State::Done && event.call.ret() != Ret::Never;
    let line = if has_duration { line.strip_suffix(" <13.1us>").unwrap() } else { line };
    if object_path.is_none() {
        assert_eq!(written(4096, |line| call(line, event, usize::MAX)), line);
    }
    line.to_owned()
}

#[test]
fn text_of_names() {
    all!(|event: &Event| call_text(event, Some(SHM));
        event(Call::ShmOpen, &[CREATE, 0o777], b"shmtest", 3) => "shm_open(\"shmtest\", O_RDWR|O_CREAT, 0777) = 3</dev/shm/shmtest>",
        failed(Call::ShmOpen, &[0, 0], b"/n\n\x1b<\xff1", libc::ENOENT) =>
            "shm_open(\"/n\\n\\33<\\3771\", O_RDONLY, 000) = -1 ENOENT (No such file or directory)",
        event(Call::ShmUnlink, &[], b"shmtest", 0) => "shm_unlink(\"shmtest\") = 0",
        begun(Call::Execv, &[], b"") => "execv(...) = ? (unfinished)",
        begun(Call::ShmUnlink, &[], b"shmtest") => "shm_unlink(\"shmtest\") = ? (unfinished)",
        Event { flags: FLAG_CUT, ..failed(Call::ShmUnlink, &[], b"aaa", 36) } =>
            "shm_unlink(\"aaa\"...) = -1 ENAMETOOLONG (File name too long)",
        event(Call::Open, &[CREATE, 0o640], b"/dev/shm/o", 4) => "open(\"/dev/shm/o\", O_RDWR|O_CREAT, 0640) = 4</dev/shm/shmtest>",
        event(Call::Open, &[0, 0o640], b"/dev/shm/o", 4) => "open(\"/dev/shm/o\", O_RDONLY) = 4</dev/shm/shmtest>",
        failed(Call::Openat, &[AT_FDCWD, CREATE, 0o600], b"/dev/shm/o", 2) =>
            "openat(AT_FDCWD, \"/dev/shm/o\", O_RDWR|O_CREAT, 0600) = -1 ENOENT (No such file or directory)",
        event(Call::Openat, &[5, 0, 0], b"o", 4) => "openat(5, \"o\", O_RDONLY) = 4</dev/shm/shmtest>",
        event(Call::Creat, &[0o600], b"/dev/shm/o", 4) => "creat(\"/dev/shm/o\", 0600) = 4</dev/shm/shmtest>",
        event(Call::Unlink, &[], b"/dev/shm/o", 0) => "unlink(\"/dev/shm/o\") = 0",
        event(Call::Unlinkat, &[AT_FDCWD, 0], b"/dev/shm/o", 0) => "unlinkat(AT_FDCWD, \"/dev/shm/o\", 0) = 0",
        event(Call::Rename, &[], b"/dev/shm/a\0/dev/shm/b", 0) => "rename(\"/dev/shm/a\", \"/dev/shm/b\") = 0",
        event(Call::Rename, &[], b"/dev/shm/a", 0) => "rename(\"/dev/shm/a\", ...) = 0",
        event(Call::Renameat, &[AT_FDCWD, 7], b"/dev/shm/a\0b", 0) => "renameat(AT_FDCWD, \"/dev/shm/a\", 7, \"b\") = 0",
        event(Call::Renameat2, &[AT_FDCWD, AT_FDCWD, 1], b"a\0b", 0) =>
            "renameat2(AT_FDCWD, \"a\", AT_FDCWD, \"b\", RENAME_NOREPLACE) = 0",
        failed(Call::MemfdCreate, &[0], b"", libc::EFAULT) => "memfd_create(..., 0) = -1 EFAULT (Bad address)",
        event(Call::Ftok, &[0], b"/etc/passwd", 0x1f00_0a0b) => "ftok(\"/etc/passwd\", 0) = 0x1f000a0b",
        failed(Call::Ftok, &[int(-3)], b"filename", 2) => "ftok(\"filename\", -3) = -1 ENOENT (No such file or directory)",
    );
    let memfd = event(Call::MemfdCreate, &[3], b"name", 5);
    assert_eq!(
        call_text(&memfd, Some(b"/memfd:name (deleted)")),
        "memfd_create(\"name\", MFD_CLOEXEC|MFD_ALLOW_SEALING) = 5</memfd:name>(deleted)"
    );
    // Only the path that was cut, which is as long as half of the room.
    let long = [&b"a"[..]; MAX_DATA / 2 - 1].concat();
    let both = [&long[..], b"\0b"].concat();
    let line = call_text(&Event { flags: FLAG_CUT, ..event(Call::Rename, &[], &both, 0) }, None);
    assert!(line.ends_with("aaa\"..., \"b\") = 0"));
}

#[test]
fn text_of_segments() {
    let ds = shmid_ds();
    let limits = longs(&[u64::MAX, 1, 4096, 4096, 7, 0, 0, 0, 0]);
    let usage = longs(&[2, 2, 0, 0, 0, 0]);
    all!(|event: &Event| call_text(event, None);
        event(Call::Shmget, &[0x11, 4096, int(libc::IPC_CREAT | 0o777)], b"", 454_000_700) =>
            "shmget(0x11, 4096, IPC_CREAT|0777) = 454000700",
        failed(Call::Shmget, &[0, 0, 0], b"", libc::EINVAL) => "shmget(IPC_PRIVATE, 0, 000) = -1 EINVAL (Invalid argument)",
        event(Call::Shmat, &[5, 0, 0], b"", 0x7f00_0000_1000) => "shmat(5, NULL, 0) = 0x7f0000001000",
        failed(Call::Shmat, &[int(-1), 0x1234, 0o20000], b"", 22) => "shmat(-1, 0x1234, SHM_RND) = -1 EINVAL (Invalid argument)",
        event(Call::Shmdt, &[0x7f00_0000_1000], b"", 0) => "shmdt(0x7f0000001000) = 0",
        begun(Call::Shmctl, &[5, 0, 0], b"") => "shmctl(5, IPC_RMID, NULL) = ? (unfinished)",
        event(Call::Shmctl, &[5, 0, 0x10], b"", 0) => "shmctl(5, IPC_RMID, 0x10) = 0",
        event(Call::Shmctl, &[5, 2, 0x10], &ds, 0) =>
            "shmctl(5, IPC_STAT, {shm_perm={uid=0, gid=0, mode=0777, key=17, cuid=0, cgid=0}, shm_segsz=4096, \
             shm_cpid=3046, shm_lpid=3046, shm_nattch=2, shm_atime=1795418716, shm_dtime=0, shm_ctime=1795418716}) = 0",
        event(Call::Shmctl, &[5, 1, 0x10], &ds, 0) => "shmctl(5, IPC_SET, {shm_perm={uid=0, gid=0, mode=0777}}) = 0",
        failed(Call::Shmctl, &[5, 2, 0x10], b"", libc::EACCES) => "shmctl(5, IPC_STAT, 0x10) = -1 EACCES (Permission denied)",
        failed(Call::Shmctl, &[5, 2, 0x10], &ds, libc::EACCES) => "shmctl(5, IPC_STAT, 0x10) = -1 EACCES (Permission denied)",
        event(Call::Shmctl, &[0, 3, 0x10], &limits, 61) =>
            "shmctl(0, IPC_INFO, {shmmax=18446744073709551615, shmmin=1, shmmni=4096, shmseg=4096, shmall=7}) = 61",
        event(Call::Shmctl, &[0, 14, 0x10], &usage, 61) =>
            "shmctl(0, SHM_INFO, {used_ids=2, shm_tot=2, shm_rss=0, shm_swp=0, swap_attempts=0, swap_successes=0}) = 61",
        event(Call::Shmctl, &[0, 11, 0], b"", 0) => "shmctl(0, SHM_LOCK, NULL) = 0",
        failed(Call::Shmctl, &[0, 99, 0x10], b"", 200) => "shmctl(0, 0x63 /* SHM_??? */, 0x10) = -1 (errno 200)",
    );
}

#[test]
fn text_of_descriptors_and_mappings() {
    let (map, deleted) = ([0, 4096, 3, 1, 3, 0], &b"/dev/shm/shmtest (deleted)"[..]);
    let fd = int(-1);
    all!(|event: &Event| call_text(event, Some(deleted));
        event(Call::Ftruncate, &[3, 4096], b"", 0) => "ftruncate(3</dev/shm/shmtest>(deleted), 4096) = 0",
        failed(Call::Ftruncate, &[fd, u64::MAX], b"", 9) => "ftruncate(-1, -1) = -1 EBADF (Bad file descriptor)",
    );
    all!(|event: &Event| call_text(event, Some(SHM));
        event(Call::Fallocate, &[3, 3, 0, 8192], b"", 0) =>
            "fallocate(3</dev/shm/shmtest>, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 8192) = 0",
        event(Call::PosixFallocate, &[3, 0, 8192], b"", 0) => "posix_fallocate(3</dev/shm/shmtest>, 0, 8192) = 0",
        failed(Call::PosixFallocate, &[3, 0, 8192], b"", 28) =>
            "posix_fallocate(3</dev/shm/shmtest>, 0, 8192) = 28 ENOSPC (No space left on device)",
        failed(Call::PosixFallocate, &[3, 0, 8192], b"", 200) => "posix_fallocate(3</dev/shm/shmtest>, 0, 8192) = 200",
        event(Call::Fstat, &[3], &stat(0o100777, 4096), 0) =>
            "fstat(3</dev/shm/shmtest>, {st_mode=S_IFREG|0777, st_size=4096, ...}) = 0",
        failed(Call::Fstat, &[fd], b"", 9) => "fstat(-1, ...) = -1 EBADF (Bad file descriptor)",
        event(Call::Mmap, &map, b"", 0x7f00_0000_1000) =>
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3</dev/shm/shmtest>, 0) = 0x7f0000001000",
        failed(Call::Mmap, &[0x1000, 0, 1, 0x11, fd, 0x1000], b"", 22) =>
            "mmap(0x1000, 0, PROT_READ, MAP_SHARED|MAP_FIXED, -1, 0x1000) = -1 EINVAL (Invalid argument)",
        event(Call::Munmap, &[0x1000, 4096], b"", 0) => "munmap(0x1000, 4096) = 0",
        event(Call::Mremap, &[0x1000, 1, 2, 1, 0x2000], b"", 0x3000) => "mremap(0x1000, 1, 2, MREMAP_MAYMOVE) = 0x3000",
        event(Call::Mremap, &[0x1000, 1, 2, 3, 0x2000], b"", 0x2000) =>
            "mremap(0x1000, 1, 2, MREMAP_MAYMOVE|MREMAP_FIXED, 0x2000) = 0x2000",
        begun(Call::Close, &[3], b"") => "close(3</dev/shm/shmtest>) = ? (unfinished)",
        event(Call::Dup, &[3], b"", 4) => "dup(3</dev/shm/shmtest>) = 4</dev/shm/shmtest>",
        event(Call::Dup2, &[3, 9], b"", 9) => "dup2(3</dev/shm/shmtest>, 9) = 9</dev/shm/shmtest>",
        event(Call::Dup3, &[3, 9, int(libc::O_CLOEXEC)], b"", 9) =>
            "dup3(3</dev/shm/shmtest>, 9, O_CLOEXEC) = 9</dev/shm/shmtest>",
        event(Call::Fcntl, &[3, 1030, 20], b"", 20) => "fcntl(3</dev/shm/shmtest>, F_DUPFD_CLOEXEC, 20) = 20</dev/shm/shmtest>",
        event(Call::Fcntl, &[3, 3, 20], b"", 2) => "fcntl(3</dev/shm/shmtest>, F_GETFL) = 2",
        failed(Call::Fcntl, &[3, 0, fd], b"", 22) => "fcntl(3</dev/shm/shmtest>, F_DUPFD, -1) = -1 EINVAL (Invalid argument)",
        event(Call::CloseRange, &[3, fd, 0], b"", 0) => "close_range(3, 4294967295, 0) = 0",
        event(Call::Closefrom, &[int(-3)], b"", 0) => "closefrom(-3) = 0",
    );
}

#[test]
fn text_of_processes() {
    all!(|event: &Event| call_text(event, None);
        event(Call::Fork, &[], b"", 3047) => "fork() = 3047",
        event(Call::Clone, &[int(libc::CLONE_VM | libc::SIGCHLD), 0x1000], b"", 9) => "clone(CLONE_VM|SIGCHLD, 0x1000) = 9",
        event(Call::PosixSpawn, &[], b"/bin/true", 0) => "posix_spawn(\"/bin/true\") = 0",
        failed(Call::PosixSpawn, &[], b"", 2) => "posix_spawn(...) = 2 ENOENT (No such file or directory)",
        event(Call::PosixSpawnp, &[], b"true", 0) => "posix_spawnp(\"true\") = 0",
        failed(Call::Execve, &[1], b"", 2) => "execve(...) = -1 ENOENT (No such file or directory)",
        failed(Call::Execve, &[], b"/x", 2) => "execve(\"/x\") = -1 ENOENT (No such file or directory)",
        failed(Call::Execv, &[], b"", 14) => "execv(...) = -1 EFAULT (Bad address)",
        failed(Call::Execvp, &[], b"", 2) => "execvp(\"\") = -1 ENOENT (No such file or directory)",
        failed(Call::Execvpe, &[], b"x", 13) => "execvpe(\"x\") = -1 EACCES (Permission denied)",
        failed(Call::Execveat, &[AT_FDCWD], b"/x", 2) => "execveat(AT_FDCWD, \"/x\") = -1 ENOENT (No such file or directory)",
        failed(Call::Fexecve, &[int(-1)], b"", 22) => "fexecve(-1) = -1 EINVAL (Invalid argument)",
        event(Call::Exit, &[256], b"", 0) => "exit(256) = ?",
        event(Call::UnderscoreExit, &[int(-1)], b"", 0) => "_exit(-1) = ?",
        event(Call::CapitalExit, &[77], b"", 0) => "_Exit(77) = ?",
        event(Call::QuickExit, &[258], b"", 0) => "quick_exit(258) = ?",
    );
}
