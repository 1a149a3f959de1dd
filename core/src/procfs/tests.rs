//! The examples are from Linux 6.18 on x86-64.

use super::*;
use std::fs::read;
use std::vec::Vec;

pub(super) const SHM: &[u8] = b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap
     18193         11   600               2097152  6746  6746      1     0     0     0     0 1795416596          0 1795416596                     0                     0
        -2         13  3644                  4096  6746  6747      2  1000   100  1001   101 1795416596 1795416597 1795416598                  4096                  8192
";

#[test]
fn segments_of_sysvipc() {
    let mut table = segments(SHM);
    let first = table.next().unwrap();
    assert_eq!((first.key, first.shmid, first.size, first.mode()), (0x4711, 11, 2 << 20, 0o600));
    assert!(!first.is_dest() && !first.is_locked());
    let second = Segment {
        key: -2,
        shmid: 13,
        perms: 0o3644,
        size: 4096,
        cpid: 6746,
        lpid: 6747,
        nattch: 2,
        uid: 1000,
        gid: 100,
        cuid: 1001,
        cgid: 101,
        atime: 1_795_416_596,
        dtime: 1_795_416_597,
        ctime: 1_795_416_598,
        rss: 4096,
        swap: 8192,
    };
    assert_eq!(table.next(), Some(second));
    assert!(second.is_dest() && second.is_locked());
    assert_eq!((table.next(), table.skipped()), (None, 0));
}

#[test]
fn attachments_of_others() {
    let maps = b"7f31c9968000-7f31c9969000 rw-s 00000000 00:01 13                         /SYSVfffffffe (deleted)
7f31c9969000-7f31c996a000 rw-s 00000000 00:01 13                         /SYSVfffffffe (deleted)
7f31c996a000-7f31c996b000 rw-s 00000000 00:01 99                         /SYSV00000011 (deleted)
7f31c996b000-7f31c996c000 rw-p 00000000 08:01 11                         /lib/x
";
    let counts = |maps: &[u8]| {
        let mut all: Vec<Segment> = segments(SHM).collect();
        without(&mut all, maps);
        all.iter().map(|segment| (segment.shmid, segment.nattch)).collect::<Vec<_>>()
    };
    assert_eq!(counts(b""), [(11, 1), (13, 2)]);
    assert_eq!(counts(maps), [(11, 1), (13, 0)]);
    assert_eq!(counts(&maps.repeat(2)), [(11, 1), (13, 0)]);
}

#[test]
fn columns_go_by_their_names() {
    // Another order, an unknown column, no rss and swap.
    let table = b"shmid key color perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime\n\
                  7 17 red 1600 1 2 3 4 5 6 7 8 9 10 11\n";
    let segment = segments(table).next().unwrap();
    assert_eq!((segment.shmid, segment.key, segment.perms, segment.ctime), (7, 17, 0o1600, 11));
    assert_eq!((segment.rss, segment.swap), (0, 0));
    // Without a header: the usual order.
    let body = &SHM[SHM.iter().position(|&byte| byte == b'\n').unwrap() + 1..];
    assert!(segments(body).eq(segments(SHM)));
    // Without a column that is needed there are no segments.
    let mut table = segments(b"key shmid\n1 2\n3 4\n");
    assert_eq!((table.next(), table.skipped()), (None, 2));
}

#[test]
fn bad_segment_lines_are_counted() {
    let mut text = SHM.to_vec();
    text.extend_from_slice(
        b"\nnonsense\n 1 2\n 4294967296 2 600 1 1 1 1 0 0 0 0 1 1 1 1 1\n 1 2 999 1 1 1 1 0 0 0 0 1 1 1 1 1\n",
    );
    // A line that the reader's buffer cut.
    text.extend_from_slice(b" 1 2 600 1 1 1 1 0 0 0 0 1 1 1 1 1");
    let mut table = segments(&text);
    assert_eq!((table.by_ref().count(), table.skipped()), (2, 5));
}

pub(super) const MAPS: &[u8] =
    b"55de3392f000-55de33930000 rw-p 00003000 fe:00 10010714                   /tmp/example/maps
55de40d37000-55de40d58000 rw-p 00000000 00:00 0                          [heap]
7f31c9400000-7f31c9600000 rw-s 00000000 00:11 11                         /SYSV00004711 (deleted)
7f31c977a000-7f31c977d000 rw-p 00000000 00:00 0 
7f31c9961000-7f31c9962000 rw-s 00000000 00:01 29                         /dev/zero (deleted)
7f31c9962000-7f31c9964000 ---s 00000000 00:01 28                         /memfd:m\\012x (deleted) (deleted)
7f31c9965000-7f31c9967000 rw-s 00001000 00:1b 6                          /dev/shm/h2 a\\012\\b#c (deleted)
7f31c9967000-7f31c9968000 r--s 00000000 00:01 13                         /SYSVfffffffe (deleted)
7f31c9968000-7f31c9969000 rw-s 00001000 00:01 12                         /SYSV00000011 (deleted)
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

#[test]
fn mappings_of_maps() {
    let mut table = mappings(MAPS);
    let all: Vec<_> = table.by_ref().collect();
    assert_eq!((all.len(), table.skipped()), (10, 0));
    let plain = all[0];
    assert_eq!((plain.start, plain.end, plain.len()), (0x55de_3392_f000, 0x55de_3393_0000, 4096));
    assert_eq!((plain.read, plain.write, plain.exec, plain.shared), (true, true, false, false));
    assert_eq!((plain.offset, plain.dev, plain.ino), (0x3000, (0xfe, 0), 10_010_714));
    assert!(plain.path.is(b"/tmp/example/maps") && !plain.deleted && plain.sysv_shmid().is_none());
    assert!(all[1].path.is(b"[heap]") && all[3].path.is(b"") && all[9].exec);

    let object = all[6];
    assert!(object.deleted && object.path.is(b"/dev/shm/h2 a\n\\b#c"));
    assert_eq!(object.path.to_vec(), b"/dev/shm/h2 a\n\\b#c");
    assert_eq!((object.st_dev(), object.ino, object.offset), (0x1b, 6, 0x1000));
    assert!(all[5].deleted && all[5].path.is(b"/memfd:m\nx (deleted)"));

    let shmids: Vec<_> = all.iter().map(Mapping::sysv_shmid).collect();
    assert_eq!(shmids, [None, None, Some(11), None, None, None, None, Some(13), Some(12), None]);
    assert_eq!((all[2].sysv_key(), all[7].sysv_key()), (Some(0x4711), Some(-2)));
    assert!(all[2].is_sysv_base() && !all[8].is_sysv_base());
}

#[test]
fn what_only_looks_like_a_segment() {
    for line in [
        "1000-2000 rw-s 00000000 fe:00 12 /SYSV00000011 (deleted)\n",
        "1000-2000 rw-s 00000000 00:01 12 /SYSV00000011\n",
        "1000-2000 rw-s 00000000 00:01 12 /SYSV0000011 (deleted)\n",
        "1000-2000 rw-s 00000000 00:01 12 /SYSV0000001F (deleted)\n",
        "1000-2000 rw-s 00000000 00:01 12 /SYSV+0000011 (deleted)\n",
        "1000-2000 rw-s 00000000 00:01 4294967296 /SYSV00000011 (deleted)\n",
    ] {
        assert_eq!(mappings(line.as_bytes()).next().unwrap().sysv_shmid(), None, "{line}");
    }
}

#[test]
fn bad_mapping_lines_are_counted() {
    let text = b"\n1000-2000 rwxp 0 0:0 0\n1000-1000 rw-s 0 00:01 1 /a\n1000-2000 rw-q 0 00:01 1 /a\n1000-2000 rw-s 0 00:01 x /a\n\
                 1000 rw-s\n11112222333344445-2 rw-s 0 00:01 1 /a\n\xff\xfe\n1000-2000 rw-s 0 00:01 1 /cu";
    let mut table = mappings(text);
    assert_eq!(table.next().map(|mapping| mapping.len()), Some(4096));
    assert_eq!((table.next(), table.skipped()), (None, 7));
}

#[test]
fn processes() {
    let text = b"6746 (a) (\n\\b c) S 6738 6737 3524 0 -1 4194560 82 140 0 1 0 0 0 0 20 0 1 0 142537 4665344 312 18446744073709551615\n";
    let stat = proc_stat(text).unwrap();
    assert_eq!((stat.pid, stat.comm, stat.state), (6746, &b"a) (\n\\b c"[..], b'S'));
    assert_eq!((stat.ppid, stat.pgrp, stat.session, stat.starttime), (6738, 6737, 3524, 142_537));
    assert_eq!(stat.children_faults, 140);
    assert_eq!((stat.flags, stat.threads, stat.is_kernel(), stat.is_over()), (4_194_560, 1, false, false));
    let others_run = b"9 (a) Z 1 9 9 0 -1 4194560 82 140 0 1 0 0 0 0 20 0 3 0 142537 0 0\n";
    let all_ended = b"9 (a) Z 1 9 9 0 -1 4194560 82 140 0 1 0 0 0 0 20 0 1 0 142537 0 0\n";
    let kernel = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0\n";
    assert!(!proc_stat(others_run).unwrap().is_over() && proc_stat(all_ended).unwrap().is_over());
    assert!(proc_stat(kernel).unwrap().is_kernel());
    // Cut after the start time's first digits: no start time is better than a wrong one.
    let cut = text.windows(6).position(|part| part == b"142537").unwrap() + 3;
    assert_eq!(proc_stat(&text[..cut]), None);
    for bad in
        [&b""[..], b"1 (a", b")(", b"1 )a(", b"1 (a)", b"x (a) S 1 1 1 0 -1 4 8 1 0 1 0 0 0 0 20 0 1 0 1 4 3 1\n"]
    {
        assert_eq!(proc_stat(bad), None);
    }

    let text = b"Name:\ta) (\\nUid:\\t9\nUmask:\t0022\nPid:\t6746\nUid:\t1000\t0\t1001\t1002\nGid:\t5\t5\t5\t5\n\
                 NSpid:\t6746\t12\t1\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
    let status = proc_status(text);
    assert_eq!((status.uid, status.seccomp, status.no_new_privs), (Some([1000, 0, 1001, 1002]), Some(2), Some(true)));
    assert_eq!((status.ns_pid, status.ns_depth), (Some(1), 3));
    assert_eq!(proc_status(b"Uid:\t0\t0\nSeccomp:\t-1\nNSpid:\nNoNewPrivs:"), ProcStatus::default());

    let limits = b"Limit                     Soft Limit           Hard Limit           Units     \n\
                   Max open files            1024                 524288               files     \n\
                   Max address space         unlimited            unlimited            bytes     \nMax file size";
    let limit = |name: &str| soft_limit(limits, name.as_bytes());
    assert_eq!((limit("Max open files"), limit("Max address space")), (Some(1024), Some(u64::MAX)));
    assert_eq!((limit("Max open"), limit("Max file size"), limit("Max file locks")), (None, None, None));
    let args = |text: &'static [u8]| cmdline(text).collect::<Vec<_>>();
    assert_eq!(args(b"./maps\0\0a b\0\0"), [&b"./maps"[..], b"", b"a b", b""]);
    assert_eq!(args(b"postgres: writer"), [b"postgres: writer"]);
    assert_eq!(args(b"\0"), [b""]);
    assert!(args(b"").is_empty());

    let vars = b"PATH=/bin\0EMPTY=\0PAT=x=y\0PATH=/usr/bin\0odd\0";
    assert_eq!(environ(vars, b"PATH"), Some(&b"/bin"[..]));
    assert_eq!((environ(vars, b"PAT"), environ(vars, b"EMPTY")), (Some(&b"x=y"[..]), Some(&b""[..])));
    assert_eq!((environ(vars, b"odd"), environ(vars, b""), environ(vars, b"PAT=x")), (None, None, None));
}

pub(super) const MOUNTS: &[u8] = b"22 27 0:21 / /proc rw,relatime - proc proc rw
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,size=12331664k,nr_inodes=3082916,mode=755
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24682416k
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resv_strict,resuid=65534,resgid=65534
30 25 0:27 / /dev/shm rw,nosuid shared:7 master:1 - tmpfs  rw,size=24682416k
31 27 8:1 /sub\\040dir /mnt/with\\040blank\\011tab\\134slash ro - fuse.x a\\012b ro
";

#[test]
fn mounts_of_mountinfo() {
    let mut table = mounts(MOUNTS);
    let all: Vec<_> = table.by_ref().collect();
    assert_eq!((all.len(), table.skipped()), (6, 0));
    let odd = all[5];
    assert!(odd.mount_point.is(b"/mnt/with blank\ttab\\slash") && odd.root.is(b"/sub dir") && odd.source.is(b"a\nb"));
    assert_eq!((odd.dev, odd.st_dev(), odd.fstype), ((8, 1), 0x801, &b"fuse.x"[..]));

    // Two are stacked on /dev/shm; the upper one is seen.
    let shm = shm_mount(MOUNTS).unwrap();
    assert_eq!((shm.id, shm.parent, shm.dev, shm.source.raw()), (30, 25, (0, 27), &b""[..]));
    assert!(shm.is_memory());
    assert_eq!(
        (shm.option(b"size"), shm.option(b"nosuid"), shm.option(b"mode")),
        (Some(&b"24682416k"[..]), Some(&b""[..]), None)
    );

    assert_eq!(mount_of(MOUNTS, b"/dev/shmx").unwrap().id, 24);
    assert_eq!(mount_of(MOUNTS, b"/home").unwrap().id, 27);
    assert_eq!(mount_of(MOUNTS, b"/mnt/with blank\ttab\\slash/a").unwrap().id, 31);
}

#[test]
fn mounts_that_hide_others() {
    // /dev/shm came first, /dev over it later.
    let text = b"1 0 8:1 / / rw - ext4 x rw\n2 1 0:5 / /dev/shm rw - tmpfs x rw\n3 1 0:6 / /dev rw - devtmpfs x rw\n";
    assert_eq!(shm_mount(text).unwrap().id, 3);
    // The link /dev/shm -> /run/shm of older systems.
    let text = b"1 0 8:1 / / rw - ext4 x rw\n2 1 0:5 / /run rw - tmpfs x rw\n3 2 0:6 / /run/shm rw - tmpfs x rw\n";
    assert_eq!(shm_mount(text).unwrap().id, 3);
    // A plain directory.
    assert_eq!(shm_mount(b"1 0 8:1 / / rw - ext4 x rw\n").unwrap().id, 1);
    // No root in sight.
    let text = b"5 0 0:5 / /dev rw - tmpfs x rw\n6 5 0:6 / /dev/shm rw - tmpfs x rw\n7 0 0:6 / /tmp rw - tmpfs x rw\n";
    assert_eq!(shm_mount(text).unwrap().id, 6);
    // A circle.
    let text = b"1 2 8:1 / / rw - ext4 x rw\n2 1 8:2 / / rw - ext4 x rw\n";
    assert!(shm_mount(text).is_some());
    assert_eq!(shm_mount(b""), None);
}

#[test]
fn descriptors() {
    assert_eq!(fd_link(b"/dev/null"), FdTarget::Path { path: b"/dev/null", deleted: false });
    assert_eq!(fd_link(b"/dev/shm/h2 a\n (deleted)"), FdTarget::Path { path: b"/dev/shm/h2 a\n", deleted: true });
    assert_eq!(fd_link(b"/memfd:m\nx (deleted) (deleted)"), FdTarget::Memfd(b"m\nx (deleted)"));
    assert_eq!(fd_link(b"/memfd: (deleted)"), FdTarget::Memfd(b""));
    assert_eq!(fd_link(b"/memfd:x"), FdTarget::Path { path: b"/memfd:x", deleted: false });
    assert_eq!(fd_link(b"/SYSVfffffffe (deleted)"), FdTarget::Sysv(-2));
    for other in [&b"pipe:[14638]"[..], b"anon_inode:[eventpoll]", b"(unreachable)/x (deleted)", b""] {
        assert_eq!(fd_link(other), FdTarget::Other(other));
    }
}

#[test]
fn memory() {
    let text = b"MemTotal:       24682416 kB\nShmemHugePages:        0 kB\nShmem:              1024 kB\nHugePages_Total:       5\n\
                 Bad: x kB\nOdd: 1 MB\nCut: 12";
    assert_eq!((meminfo(text, b"Shmem"), meminfo(text, b"HugePages_Total")), (Some(1 << 20), Some(5)));
    for none in [&b"Bad"[..], b"Odd", b"Cut", b"Missing", b"", b"Mem"] {
        assert_eq!(meminfo(text, none), None);
    }
    assert!(meminfo(&read("/proc/meminfo").unwrap(), b"MemTotal").is_some_and(|bytes| bytes > 1 << 20));
}

#[test]
fn numbers() {
    assert_eq!(parse_u64(b"18446744073692774399\n"), Some(18_446_744_073_692_774_399));
    assert_eq!((parse_u64(b"4096\n"), parse_u64(b" 0"), parse_u64(b"007")), (Some(4096), Some(0), Some(7)));
    for bad in [&b""[..], b"\n", b"-1", b"+1", b"1 2", b"18446744073709551616", b"0x1", b"1a"] {
        assert_eq!(parse_u64(bad), None);
    }
    assert_eq!((signed::<i32>(b"-2147483648"), signed::<i32>(b"2147483648")), (Some(i32::MIN), None));
    assert_eq!(
        (signed::<i64>(b"-9223372036854775808"), signed::<i64>(b"-9223372036854775809")),
        (Some(i64::MIN), None)
    );
    // /dev/null, an NVMe partition, and beyond 12 and 8 bits.
    assert_eq!((makedev(1, 3), makedev(259, 0x1_0001)), (0x103, 0x1001_0301));
    assert_eq!((dev_major(0x1001_0301), dev_minor(0x1001_0301)), (259, 0x1_0001));
}

/// The tables of the very process that runs this are readable without a loss.
#[test]
fn own_tables() {
    let here = &raw const *MAPS as *const u8 as u64;
    let text = read("/proc/self/maps").unwrap();
    let mut table = mappings(&text);
    assert!(table.by_ref().any(|mapping| (mapping.start..mapping.end).contains(&here) && mapping.read));
    table.by_ref().for_each(drop);
    assert_eq!(table.skipped(), 0);

    let text = read("/proc/self/mountinfo").unwrap();
    let mut table = mounts(&text);
    assert!(table.by_ref().count() > 0);
    assert_eq!(table.skipped(), 0);
    assert!(shm_mount(&text).is_some());

    let text = read("/proc/sysvipc/shm").unwrap_or_default();
    let mut table = segments(&text);
    table.by_ref().for_each(drop);
    assert_eq!(table.skipped(), 0);

    let text = read("/proc/self/stat").unwrap();
    let stat = proc_stat(&text).unwrap();
    assert_eq!(stat.pid, std::process::id());
    assert_eq!(stat.ppid, std::os::unix::process::parent_id());
    let status = proc_status(&read("/proc/self/status").unwrap());
    assert!(
        status.uid.is_some() && status.seccomp.is_some() && status.no_new_privs.is_some() && status.ns_pid.is_some()
    );
    assert!(cmdline(&read("/proc/self/cmdline").unwrap()).count() >= 1);
}
