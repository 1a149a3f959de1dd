//! Expected texts are strace 6.1's own, seen on x86-64; a tracer was run over 66,000 random values of these besides.

use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

fn written(write: impl FnOnce(&mut Line)) -> String {
    let mut buf = [0u8; 4096];
    let mut line = Line::new(&mut buf);
    write(&mut line);
    assert!(!line.is_cut());
    String::from_utf8(line.as_bytes().to_vec()).unwrap()
}

/// `all!(writer: value => "text", …)`
macro_rules! all {
    ($writer:expr, $($value:expr => $text:expr),+ $(,)?) => {
        $(assert_eq!(written(|line| $writer(line, $value)), $text);)+
    };
}

#[test]
fn open_words() {
    all!(open_flags,
        libc::O_RDONLY => "O_RDONLY",
        libc::O_RDWR | libc::O_CREAT => "O_RDWR|O_CREAT",
        libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_CLOEXEC => "O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC",
        libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC => "O_WRONLY|O_CREAT|O_TRUNC",
        libc::O_CREAT | libc::O_SYNC => "O_RDONLY|O_CREAT|O_SYNC",
        libc::O_DSYNC => "O_RDONLY|O_DSYNC",
        libc::O_RDWR | libc::O_TMPFILE => "O_RDWR|O_TMPFILE",
        libc::O_TMPFILE & !libc::O_DIRECTORY => "O_RDONLY|__O_TMPFILE",
        libc::O_DIRECTORY => "O_RDONLY|O_DIRECTORY",
        libc::O_SYNC & !libc::O_DSYNC => "O_RDONLY|__O_SYNC",
        libc::O_ASYNC => "O_RDONLY|FASYNC",
        3 => "O_ACCMODE",
        0x8000_0003_u32 as i32 => "O_ACCMODE|0x80000000",
        0x24 => "O_RDONLY|0x24",
        -1 => "O_ACCMODE|O_CREAT|O_EXCL|O_NOCTTY|O_TRUNC|O_APPEND|O_NONBLOCK|O_SYNC|O_DIRECT|O_LARGEFILE\
               |O_NOFOLLOW|O_NOATIME|O_CLOEXEC|O_PATH|O_TMPFILE|FASYNC|0xff80003c",
    );
    assert!(open_takes_mode(libc::O_CREAT) && open_takes_mode(libc::O_RDWR | libc::O_TMPFILE));
    assert!(!open_takes_mode(libc::O_RDWR | libc::O_DIRECTORY | libc::O_EXCL));
    all!(dup3_flags, libc::O_CLOEXEC => "O_CLOEXEC", 0 => "0", 1 => "0x1 /* O_??? */");
    all!(mode, 0o777 => "0777", 0 => "000", 7 => "007", 0o10 => "010", 0o1777 => "01777", u32::MAX => "0177777");
    all!(dirfd, libc::AT_FDCWD => "AT_FDCWD", 5 => "5", -1 => "-1");
    all!(at_flags, 0 => "0", 0x200 => "AT_REMOVEDIR", 0x300 => "AT_SYMLINK_NOFOLLOW|AT_REMOVEDIR",
        2 => "0x2 /* AT_??? */");
    all!(renameat2_flags, 0 => "0", 1 => "RENAME_NOREPLACE", 7 => "RENAME_NOREPLACE|RENAME_EXCHANGE|RENAME_WHITEOUT",
        8 => "0x8 /* RENAME_?? */");
    all!(fcntl_cmd, 0 => "F_DUPFD", 1030 => "F_DUPFD_CLOEXEC", 3 => "F_GETFL", -1 => "0xffffffff /* F_??? */");
    all!(close_range_flags, 0 => "0", 6 => "CLOSE_RANGE_UNSHARE|CLOSE_RANGE_CLOEXEC",
        1 => "0x1 /* CLOSE_RANGE_??? */");
    all!(fallocate_mode, 0 => "0", 3 => "FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE",
        0x100 => "0x100 /* FALLOC_FL_??? */");
}

#[test]
fn memory_words() {
    all!(mmap_prot,
        0 => "PROT_NONE",
        3 => "PROT_READ|PROT_WRITE",
        7 => "PROT_READ|PROT_WRITE|PROT_EXEC",
        0x40 => "0x40 /* PROT_??? */",
        0x41 => "PROT_READ|0x40",
    );
    all!(mmap_flags,
        1 => "MAP_SHARED",
        libc::MAP_SHARED | libc::MAP_ANONYMOUS => "MAP_SHARED|MAP_ANONYMOUS",
        libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE => "MAP_SHARED|MAP_FIXED_NOREPLACE",
        3 => "MAP_SHARED_VALIDATE",
        0 => "MAP_FILE",
        4 => "0x4 /* MAP_??? */",
        0x80 => "MAP_FILE|0x80",
        libc::MAP_PRIVATE | libc::MAP_HUGETLB | (21 << 26) => "MAP_PRIVATE|MAP_HUGETLB|21<<MAP_HUGE_SHIFT",
        63 << 26 => "MAP_FILE|63<<MAP_HUGE_SHIFT",
    );
    all!(mremap_flags, 0 => "0", 1 => "MREMAP_MAYMOVE", 7 => "MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_DONTUNMAP",
        8 => "0x8 /* MREMAP_??? */");
    all!(memfd_flags, 0 => "0", 1 => "MFD_CLOEXEC", 3 => "MFD_CLOEXEC|MFD_ALLOW_SEALING",
        4 | (21 << 26) => "MFD_HUGETLB|21<<MFD_HUGE_SHIFT", 21 << 26 => "21<<MFD_HUGE_SHIFT",
        0x20 => "0x20 /* MFD_??? */");
    all!(pointer, 0 => "NULL", 0x7f33_aa26_5000 => "0x7f33aa265000");
}

#[test]
fn sysv_words() {
    all!(shmget_flags,
        0o1666 => "IPC_CREAT|0666",
        0o3600 => "IPC_CREAT|IPC_EXCL|0600",
        0 => "000",
        0o4 => "004",
        0x2000 => "0x2000|000",
        0o3600 | libc::SHM_HUGETLB | (21 << 26) => "IPC_CREAT|IPC_EXCL|SHM_HUGETLB|21<<SHM_HUGE_SHIFT|0600",
        21 << 26 => "21<<SHM_HUGE_SHIFT|000",
        -1 => "IPC_CREAT|IPC_EXCL|SHM_HUGETLB|SHM_NORESERVE|0x3ffe000|63<<SHM_HUGE_SHIFT|0777",
    );
    all!(shmat_flags, 0 => "0", 0o10000 | 0o20000 => "SHM_RDONLY|SHM_RND", 0o100000 => "SHM_EXEC",
        -1 => "SHM_RDONLY|SHM_RND|SHM_REMAP|SHM_EXEC|0xffff0fff", 1 => "0x1 /* SHM_??? */");
    all!(shmctl_cmd, 0 => "IPC_RMID", 2 => "IPC_STAT", 15 => "SHM_STAT_ANY", 0x102 => "IPC_64|IPC_STAT",
        7 => "0x7 /* SHM_??? */", -1 => "IPC_64|0xfffffeff /* SHM_??? */");
    all!(key, 0 => "IPC_PRIVATE", 0x11 => "0x11", -1 => "0xffffffff");
}

#[test]
fn process_words() {
    let child = (libc::CLONE_CHILD_CLEARTID | libc::CLONE_CHILD_SETTID | libc::SIGCHLD) as u64;
    all!(clone_flags,
        child => "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD",
        0x4100 => "CLONE_VM|CLONE_VFORK",
        0 => "0",
        17 => "SIGCHLD",
        0x2_0000_0011 => "0x200000000 /* CLONE_??? */|SIGCHLD",
        0x46 | 0x800 => "CLONE_SIGHAND|70",
    );
    all!(signal, 1 => "SIGHUP", 9 => "SIGKILL", 31 => "SIGSYS", 32 => "SIGRTMIN", 34 => "SIGRT_2", 64 => "SIGRT_32",
        65 => "65", 0 => "0", -2 => "-2");
    assert_eq!(signal_name(libc::SIGCHLD), Some("SIGCHLD"));
    assert_eq!((signal_name(0), signal_name(32), signal_name(i32::MIN)), (None, None, None));
    all!(wait_status,
        0 => "[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]",
        0xff00 => "[{WIFEXITED(s) && WEXITSTATUS(s) == 255}]",
        9 => "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}]",
        0x8b => "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}]",
        126 => "[{WIFSIGNALED(s) && WTERMSIG(s) == 126}]",
        0x137f => "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}]",
        0x857f => "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGTRAP | 0x80}]",
        0xffff => "[{WIFCONTINUED(s)}]",
        0x80 => "[{WIFEXITED(s) && WEXITSTATUS(s) == 0}|0x80]",
        0x101 => "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGHUP}|0x100]",
        0xff => "[0xff]",
        0x1ffff => "[0x1ffff]",
        -1 => "[0xffffffff]",
        0x1057f => "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGTRAP}|PTRACE_EVENT_FORK<<16]",
        0x80137f => "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}|PTRACE_EVENT_STOP<<16]",
        0xff057f => "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGTRAP}|0xff /* PTRACE_EVENT_??? */<<16]",
        0x50100 => "[{WIFEXITED(s) && WEXITSTATUS(s) == 1}|PTRACE_EVENT_VFORK_DONE<<16]",
    );
}

#[test]
fn error_words() {
    all!(result_errno,
        libc::ENOENT => "-1 ENOENT (No such file or directory)",
        libc::EINVAL => "-1 EINVAL (Invalid argument)",
        libc::EIDRM => "-1 EIDRM (Identifier removed)",
        libc::EAGAIN => "-1 EAGAIN (Resource temporarily unavailable)",
        libc::ENOTSUP => "-1 EOPNOTSUPP (Operation not supported)",
        libc::ELIBSCN => "-1 ELIBSCN (.lib section in a.out corrupted)",
        133 => "-1 EHWPOISON (Memory page has hardware error)",
        41 => "-1 (errno 41)",
        134 => "-1 (errno 134)",
        0 => "-1 (errno 0)",
        -1 => "-1 (errno -1)",
    );
    let names: Vec<_> = (i16::MIN..=i16::MAX).filter_map(|errno| errno_name(i32::from(errno))).collect();
    assert_eq!(names.len(), 131);
    assert!(names.iter().all(|name| name.starts_with('E')));
    assert_eq!(errno_message(libc::EMFILE), Some("Too many open files"));
    assert_eq!(errno_message(58), None);
}

#[test]
fn strings() {
    all!(quoted,
        b"/shmtest" => "\"/shmtest\"",
        b"" => "\"\"",
        b"/x\x011\x018\x01a\x1b\x1b[m\x7f\xff\x807\x809\\\"'<>" => r#""/x\0011\18\1a\33\33[m\177\377\2007\2009\\\"'<>""#,
        b"\n\t\r\x0b\x0c\0\x07\x08" => r#""\n\t\r\v\f\0\7\10""#,
        b"\x008\x1b\xc3\xa9" => r#""\08\33\303\251""#,
    );
    assert_eq!(written(|line| fd(line, 3, Some(b"/dev/shm/shmtest"), false)), "3</dev/shm/shmtest>");
    assert_eq!(
        written(|line| fd(line, 5, Some(b"/memfd:a\x011<b>\"\n"), true)),
        r#"5</memfd:a\0011\74b\76\"\n>(deleted)"#
    );
    assert_eq!(written(|line| fd(line, -1, None, true)), "-1");
    let link = |text: &[u8]| written(|line| fd_target(line, 5, crate::procfs::fd_link(text)));
    assert_eq!(link(b"/memfd:a\x011<b>\"\n (deleted)"), r#"5</memfd:a\0011\74b\76\"\n>(deleted)"#);
    assert_eq!(link(b"/dev/shm/h2t (deleted)"), "5</dev/shm/h2t>(deleted)");
    assert_eq!((link(b"pipe:[11999]"), link(b"/dev/null")), ("5<pipe:[11999]>".into(), "5</dev/null>".into()));
    assert_eq!(link(b"/SYSVfffffffe (deleted)"), "5</SYSVfffffffe>(deleted)");
    all!(escaped, b"/tmp/q\x011<7>x#\n" => r"/tmp/q\0011\0747\76x#\n");
}

#[test]
fn structs() {
    let mut bytes = [0u8; ShmidDs::SIZE];
    let mut put = |at: usize, value: u64, width: usize| {
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    };
    // struct shmid_ds of an attached segment that is locked in memory.
    put(0, 0x11, 4);
    put(20, 0o2600, 4);
    put(48, 4096, 8);
    put(56, 1_795_416_360, 8);
    put(72, 1_795_416_361, 8);
    put(80, 5250, 4);
    put(84, 5251, 4);
    put(88, 1, 8);
    let mut ds = ShmidDs::from_bytes(&bytes).unwrap();
    assert_eq!(ShmidDs::from_bytes(&bytes[..111]), None);
    assert_eq!(
        written(|line| shmid_ds(line, &ds)),
        "{shm_perm={uid=0, gid=0, mode=02600, key=17, cuid=0, cgid=0}, shm_segsz=4096, shm_cpid=5250, \
         shm_lpid=5251, shm_nattch=1, shm_atime=1795416360, shm_dtime=0, shm_ctime=1795416361}"
    );
    assert_eq!(written(|line| shmid_ds_set(line, &ds)), "{shm_perm={uid=0, gid=0, mode=02600}}");
    (ds.uid, ds.gid, ds.mode) = (u32::MAX, u32::MAX, 0o7777777);
    assert_eq!(written(|line| shmid_ds_set(line, &ds)), "{shm_perm={uid=-1, gid=-1, mode=07777777}}");
    all!(stat_short_pair,
        (0o100777, 4096) => "{st_mode=S_IFREG|0777, st_size=4096, ...}",
        (0o041777, 40) => "{st_mode=S_IFDIR|S_ISVTX|0777, st_size=40, ...}",
        (0o106666, 0) => "{st_mode=S_IFREG|S_ISUID|S_ISGID|0666, st_size=0, ...}",
    );
    all!(file_mode, 0 => "000", 0o4000 => "S_ISUID|000", 0o010000 => "S_IFIFO|000", 0o175717 => "0175717");

    let words = [u64::MAX - (1 << 24), 1, 4096, 4096, u64::MAX - (1 << 24), 0, 0, 0, 0];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(
        written(|line| shminfo(line, &ShmInfoLimits::from_bytes(&bytes).unwrap())),
        "{shmmax=18446744073692774399, shmmin=1, shmmni=4096, shmseg=4096, shmall=18446744073692774399}"
    );
    let bytes: Vec<u8> = [2u64, 2, 0, 0, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(
        written(|line| shm_info(line, &ShmInfoUsage::from_bytes(&bytes).unwrap())),
        "{used_ids=2, shm_tot=2, shm_rss=0, shm_swp=0, swap_attempts=0, swap_successes=0}"
    );
    assert_eq!((ShmInfoLimits::from_bytes(&bytes[..39]), ShmInfoUsage::from_bytes(&bytes[..47])), (None, None));
}

fn stat_short_pair(line: &mut Line, (mode, size): (u32, u64)) {
    stat_short(line, mode, size);
}

#[test]
fn times_and_sizes() {
    all!(clock_time, 0 => "00:00:00.000000", 1_714_979_289_123_456_789 => "07:08:09.123456",
        86_399_999_999_999 => "23:59:59.999999");
    all!(rfc3339,
        0 => "1970-01-01T00:00:00.000000000Z",
        1_714_979_289_123_456_789 => "2024-05-06T07:08:09.123456789Z",
        951_782_400_000_000_000 => "2000-02-29T00:00:00.000000000Z",
        4_107_542_399_000_000_001 => "2100-02-28T23:59:59.000000001Z",
        4_107_542_400_000_000_000 => "2100-03-01T00:00:00.000000000Z",
        1_735_689_599_999_999_999 => "2024-12-31T23:59:59.999999999Z",
        u64::MAX => "2554-07-21T23:34:33.709551615Z",
    );
    all!(duration, 0 => "0ns", 850 => "850ns", 999 => "999ns", 1000 => "1.0us", 13_149 => "13.1us", 13_150 => "13.2us",
        999_949 => "999.9us", 999_950 => "1.0ms", 2_400_000 => "2.4ms", 999_950_000 => "1.0s",
        1_234_567_890 => "1.2s", 3_600_000_000_000 => "3600.0s", u64::MAX => "18446744073.7s");
    all!(human_size, 0 => "0 bytes", 1 => "1 byte", 4097 => "4097 bytes", 1_048_575 => "1048575 bytes",
        1_048_576 => "1048576 bytes (1.0 MiB)", 16_777_216 => "16777216 bytes (16.0 MiB)",
        1_073_741_823 => "1073741823 bytes (1.0 GiB)", 1_610_612_736 => "1610612736 bytes (1.5 GiB)",
        5 << 40 => "5497558138880 bytes (5.0 TiB)", u64::MAX => "18446744073709551615 bytes (16.0 EiB)");
}

/// Reads a quoted string back.
fn unquoted(text: &str) -> Vec<u8> {
    let text = text.strip_prefix('"').unwrap().strip_suffix('"').unwrap().as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let mut byte = text[at];
        assert!((b' '..=b'~').contains(&byte));
        at += 1;
        if byte == b'\\' {
            let digits = text[at..].iter().take(3).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
            if digits == 0 {
                byte = match text[at] {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    other => other,
                };
                at += 1;
            } else {
                let value = text[at..at + digits].iter().fold(0, |sum, digit| sum * 8 + u32::from(digit - b'0'));
                byte = u8::try_from(value).unwrap();
                at += digits;
            }
        }
        out.push(byte);
    }
    out
}

/// The value that a text of flags says, by the names of one table.
fn value_of(text: &str, names: &Names) -> u64 {
    let text = text.split(" /*").next().unwrap();
    text.split('|').fold(0, |sum, part| {
        let named = names.iter().find(|(_, name)| *name == part).map(|(value, _)| *value);
        sum | named.unwrap_or_else(|| u64::from_str_radix(part.trim_start_matches("0x"), 16).unwrap())
    })
}

proptest! {
    #[test]
    fn quoting_can_be_undone(bytes: Vec<u8>) {
        prop_assert_eq!(unquoted(&written(|line| quoted(line, &bytes))), bytes);
    }

    #[test]
    fn labels_stay_in_their_brackets(bytes: Vec<u8>) {
        let text = written(|line| escaped(line, &bytes));
        prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'<' && byte != b'>'));
    }

    #[test]
    fn no_bit_is_lost(value: u64, mask: u64) {
        let names: &Names = &[(0, "NONE"), (3, "BOTH"), (1, "ONE"), (2, "TWO"), (1 << 40, "HIGH")];
        for value in [value, value & mask, value & 7] {
            prop_assert_eq!(value_of(&written(|line| bits(line, value, names, "X_???")), names), value);
        }
    }

    #[test]
    fn any_number_can_be_written(small: i32, big: u64) {
        let writers: [fn(&mut Line, i32); 19] = [
            open_flags, dup3_flags, mmap_prot, mmap_flags, mremap_flags, shmget_flags, shmat_flags, shmctl_cmd, key,
            fcntl_cmd, close_range_flags, fallocate_mode, dirfd, at_flags, signal, wait_status, result_errno,
            |line, value| memfd_flags(line, value as u32), |line, value| mode(line, value as u32),
        ];
        for writer in writers {
            prop_assert!(!written(|line| writer(line, small)).is_empty());
        }
        for writer in [clone_flags, pointer, clock_time, rfc3339, duration, human_size] {
            prop_assert!(!written(|line| writer(line, big)).is_empty());
            prop_assert!(!written(|line| writer(line, big >> (small & 63))).is_empty());
        }
    }

    #[test]
    fn any_memory_can_be_decoded(bytes in prop::collection::vec(any::<u8>(), 0..160)) {
        if let Some(ds) = ShmidDs::from_bytes(&bytes) {
            written(|line| shmid_ds(line, &ds));
            written(|line| shmid_ds_set(line, &ds));
        }
        if let Some(info) = ShmInfoLimits::from_bytes(&bytes) {
            written(|line| shminfo(line, &info));
        }
        if let Some(info) = ShmInfoUsage::from_bytes(&bytes) {
            written(|line| shm_info(line, &info));
        }
    }

    #[test]
    fn days_follow_each_other(day in 0u64..213_503) {
        let date = |day: u64| written(|line| rfc3339(line, day * 86_400 * NS));
        let (today, tomorrow) = (date(day), date(day + 1));
        prop_assert!(today < tomorrow, "{} {}", today, tomorrow);
        prop_assert_eq!(&today[10..], "T00:00:00.000000000Z");
    }

    #[test]
    fn a_short_buffer_is_cut(room in 0usize..64, bytes: Vec<u8>) {
        let mut buf = std::vec![0u8; room];
        let mut line = Line::new(&mut buf);
        quoted(&mut line, &bytes);
        wait_status(&mut line, 0x50100);
        human_size(&mut line, u64::MAX);
        prop_assert!(line.is_cut() && line.len() == room);
    }
}

const NS: u64 = 1_000_000_000;
