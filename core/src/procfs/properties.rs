//! What holds for every input of the readers, and for every value that the kernel could have written.

use super::tests::{MAPS, MOUNTS, SHM};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::format;
use std::vec::Vec;

/// As `seq_escape` does it.
fn escape(bytes: &[u8], which: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in bytes {
        if which.contains(&byte) {
            out.extend_from_slice(format!("\\{byte:03o}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out
}

/// Bytes that parsers care about, and any others.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(b"0123456789abcdef \n\t-:,()\\/=rwxps\0SYV".to_vec());
    vec(prop_oneof![4 => telling, 1 => any::<u8>()], 0..400)
}

/// A real table with some bytes changed and its end cut off.
fn spoiled(table: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (vec(change, 0..8), any::<prop::sample::Index>()).prop_map(move |(changes, end)| {
        let mut text = table.to_vec();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        text.truncate(end.index(table.len()) + 1);
        text
    })
}

fn read_all(text: &[u8]) -> usize {
    let mut total = parse_u64(text).is_some() as usize;
    let lines = text.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let mut table = segments(text);
    let good = table.by_ref().count();
    assert!(good + table.skipped() <= lines);
    let mut table = mappings(text);
    for mapping in table.by_ref() {
        total +=
            mapping.path.to_vec().len() + mapping.sysv_shmid().is_some() as usize + mapping.is_sysv_base() as usize;
    }
    assert!(table.skipped() <= lines);
    let mut table = mounts(text);
    for mount in table.by_ref() {
        total += mount.option(b"size").map_or(0, <[u8]>::len) + mount.root.to_vec().len();
    }
    assert!(table.skipped() <= lines);
    total += shm_mount(text).is_some() as usize;
    total += proc_stat(text).map_or(0, |stat| stat.comm.len());
    total += proc_status(text).ns_depth as usize + meminfo(text, b"x").is_some() as usize;
    total += cmdline(text).map(<[u8]>::len).sum::<usize>();
    total += environ(text, b"a").map_or(0, <[u8]>::len);
    if let FdTarget::Path { path, .. } | FdTarget::Memfd(path) | FdTarget::Other(path) = fd_link(text) {
        assert!(path.len() <= text.len());
    }
    total
}

proptest! {
    #[test]
    fn any_bytes_are_survived(random: Vec<u8>, likely in text()) {
        read_all(&random);
        read_all(&likely);
    }

    #[test]
    fn spoiled_tables_are_survived(shm in spoiled(SHM), maps in spoiled(MAPS), mounts in spoiled(MOUNTS)) {
        read_all(&shm);
        read_all(&maps);
        read_all(&mounts);
    }

    #[test]
    fn segments_come_back(
        key: i32, shmid in 0..i32::MAX, perms in 0u32..0o4000, size: u64, who: [u32; 6], nattch: u64,
        times: [u64; 3], rss: u64, swap: u64,
    ) {
        let [cpid, lpid, uid, gid, cuid, cgid] = who;
        let [atime, dtime, ctime] = times;
        let segment = Segment {
            key, shmid, perms, size, cpid, lpid, nattch, uid, gid, cuid, cgid, atime, dtime, ctime, rss, swap,
        };
        let text = format!(
            "{key:10} {shmid:10} {perms:5o} {size:21} {cpid:5} {lpid:5} {nattch:6} {uid:5} {gid:5} {cuid:5} {cgid:5} \
             {atime:10} {dtime:10} {ctime:10} {rss:21} {swap:21}\n"
        );
        let mut table = segments(text.as_bytes());
        prop_assert_eq!((table.next(), table.next(), table.skipped()), (Some(segment), None, 0));
    }

    #[test]
    fn mappings_come_back(
        start in 0u64..1 << 47, pages in 1u64..1 << 20, offset: u32, dev: (u8, u8), ino: u32, shared: bool,
        name in vec(1u8.., 0..40), deleted: bool,
    ) {
        let end = start + pages * 4096;
        let mut path = b"/".to_vec();
        path.extend(name.iter().filter(|&&byte| byte != b'\\'));
        let kind = if shared { 's' } else { 'p' };
        let text = format!("{start:08x}-{end:08x} rw-{kind} {offset:08x} {:02x}:{:02x} {ino} ", dev.0, dev.1);
        let mut text = format!("{text:73}").into_bytes();
        text.extend(escape(&path, b"\n"));
        text.extend_from_slice(if deleted { b" (deleted)\n" } else { b"\n" });
        let mapping = mappings(&text).next().unwrap();
        prop_assert_eq!((mapping.start, mapping.end, mapping.offset), (start, end, u64::from(offset)));
        prop_assert_eq!((mapping.dev, mapping.ino), ((u32::from(dev.0), u32::from(dev.1)), u64::from(ino)));
        prop_assert_eq!((mapping.shared, mapping.deleted), (shared, deleted));
        prop_assert_eq!(mapping.path.to_vec(), path);
    }

    #[test]
    fn mount_points_come_back(name in vec(1u8.., 0..40)) {
        let mut text = b"9 8 0:7 / /".to_vec();
        text.extend(escape(&name, b" \t\n\\"));
        text.extend_from_slice(b" rw - tmpfs x rw\n");
        let mount = mounts(&text).next().unwrap();
        let mut path = b"/".to_vec();
        path.extend(&name);
        prop_assert!(mount.mount_point.is(&path));
        prop_assert_eq!(mount.mount_point.to_vec(), path);
    }

    #[test]
    fn names_of_processes_come_back(pid in 1u32..1 << 22, comm in vec(1u8.., 0..16), starttime: u64) {
        let mut text = format!("{pid} (").into_bytes();
        text.extend(&comm);
        text.extend(format!(") R 1 2 3 0 -1 4194560 82 140 0 1 0 0 0 0 20 0 1 0 {starttime} 4665344\n").bytes());
        let stat = proc_stat(&text).unwrap();
        prop_assert_eq!((stat.pid, stat.comm, stat.starttime), (pid, &comm[..], starttime));
    }

    #[test]
    fn arguments_come_back(args in vec(vec(1u8.., 0..8), 0..8)) {
        let text: Vec<u8> = args.iter().flat_map(|arg| arg.iter().copied().chain([0])).collect();
        prop_assert!(cmdline(&text).eq(args.iter().map(Vec::as_slice)));
    }

    #[test]
    fn device_numbers_come_back(major: u32, minor: u32) {
        let dev = makedev(major, minor);
        prop_assert_eq!((dev_major(dev), dev_minor(dev)), (major, minor));
        #[cfg(target_os = "linux")]
        prop_assert_eq!(dev, libc::makedev(major, minor));
    }
}
