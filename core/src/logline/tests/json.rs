//! JSON of every call.

use super::*;
use crate::calls::CALLS;

fn call_json(event: &Event, object_path: Option<&[u8]>) -> Value {
    let line = written(4096, |line| json(line, event, &extra(object_path), &unresolved));
    serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap()
}

#[test]
fn json_of_names() {
    let open = Event { object: POSIX, ..event(Call::ShmOpen, &[CREATE, 0o777], b"shm\xff\n\"\\\xc2\x9b\xc3\xa9", 3) };
    let whole = call_json(&open, None);
    // "\xff" is text; the character U+009B, which terminals act on, is escaped in the line and itself in the value.
    assert_eq!(whole["args"], json!({"name": "shm\\xff\n\"\\\u{9b}é", "oflag": "O_RDWR|O_CREAT", "mode": "0777"}));
    assert_eq!(whole["object"]["name"], "/shm\\xff\n\"\\\u{9b}é");
    assert!(whole.get("truncated").is_none());
    let gone = call_json(&failed(Call::ShmUnlink, &[], b"/gone", libc::ENOENT), None);
    assert_eq!((&gone["ret"], &gone["errno"]), (&json!(-1), &json!("ENOENT")));
    let unknown = json!({"family": "posix", "name": "/gone", "key": null, "shmid": null, "dev": null, "ino": null});
    assert_eq!(gone["object"], unknown);
    let begun = call_json(&begun(Call::ShmUnlink, &[], b"/gone"), None);
    assert_eq!((&begun["ret"], &begun["errno"], &begun["duration_ns"]), (&Value::Null, &Value::Null, &Value::Null));
    let cut = call_json(&Event { flags: FLAG_CUT, ..failed(Call::ShmUnlink, &[], b"/gone", 36) }, None);
    assert_eq!(cut["truncated"], true);

    let args = |event: &Event| call_json(event, None)["args"].take();
    all!(args;
        event(Call::Open, &[0, 0o640], b"/dev/shm/o", 4) => json!({"pathname": "/dev/shm/o", "flags": "O_RDONLY"}),
        event(Call::Openat, &[AT_FDCWD, CREATE, 0o600], b"o", 4) =>
            json!({"dirfd": "AT_FDCWD", "pathname": "o", "flags": "O_RDWR|O_CREAT", "mode": "0600"}),
        event(Call::Creat, &[0o600], b"o", 4) => json!({"pathname": "o", "mode": "0600"}),
        event(Call::Unlink, &[], b"o", 0) => json!({"pathname": "o"}),
        event(Call::Unlinkat, &[7, 0], b"o", 0) => json!({"dirfd": 7, "pathname": "o", "flags": "0"}),
        event(Call::Rename, &[], b"o\0p", 0) => json!({"oldpath": "o", "newpath": "p"}),
        event(Call::Renameat, &[7, AT_FDCWD], b"o\0p", 0) =>
            json!({"olddirfd": 7, "oldpath": "o", "newdirfd": "AT_FDCWD", "newpath": "p"}),
        event(Call::Renameat2, &[7, 8, 1], b"o", 0) =>
            json!({"olddirfd": 7, "oldpath": "o", "newdirfd": 8, "newpath": null, "flags": "RENAME_NOREPLACE"}),
        event(Call::MemfdCreate, &[1], b"m", 4) => json!({"name": "m", "flags": "MFD_CLOEXEC"}),
        failed(Call::Ftok, &[3], b"", libc::EFAULT) => json!({"pathname": null, "proj_id": 3}),
    );
    let name = |event: &Event| call_json(event, Some(b"/memfd:m (deleted)"))["object"]["name"].take();
    all!(name;
        Event { object: POSIX, ..event(Call::Open, &[0, 0], b"/dev/shm//o", 4) } => json!("/o"),
        event(Call::Rename, &[], b"/dev/shm/o\0/tmp/p", 0) => json!("/o"),
        event(Call::Rename, &[], b"/tmp/p\0/dev/shm/o", 0) => json!("/o"),
        Event { object: MEMFD, ..event(Call::MemfdCreate, &[1], b"m", 4) } => json!("m"),
        Event { object: MEMFD, ..event(Call::Close, &[4], b"", 0) } => json!("m"),
        failed(Call::MemfdCreate, &[1], b"m", 24) => json!(null),
        failed(Call::Open, &[0, 0], b"/tmp/o", 2) => json!(null),
    );
}

#[test]
fn json_of_segments() {
    let ds = shmid_ds();
    let limits = longs(&[u64::MAX, 1, 4096, 4096, 7]);
    let usage = longs(&[2, 2, 0, 0, 0, 0]);
    let args = |event: &Event| call_json(event, None)["args"].take();
    all!(args;
        event(Call::Shmget, &[0x11, u64::MAX, 0o777], b"", 5) =>
            json!({"key": "0x00000011", "size": u64::MAX, "shmflg": "0777"}),
        event(Call::Shmget, &[0, 1, 0o1600], b"", 5) => json!({"key": "IPC_PRIVATE", "size": 1, "shmflg": "IPC_CREAT|0600"}),
        event(Call::Shmat, &[int(-1), 0, 0], b"", 0x1000) => json!({"shmid": -1, "shmaddr": null, "shmflg": "0"}),
        event(Call::Shmdt, &[0x1000], b"", 0) => json!({"shmaddr": "0x1000"}),
        event(Call::Shmctl, &[5, 0, 0x10], b"", 0) => json!({"shmid": 5, "cmd": "IPC_RMID", "buf": "0x10"}),
        event(Call::Shmctl, &[5, 1, 0x10], &ds, 0) =>
            json!({"shmid": 5, "cmd": "IPC_SET", "buf": {"shm_perm": {"uid": 0, "gid": 0, "mode": "0777"}}}),
        event(Call::Shmctl, &[5, 2, 0x10], &ds, 0) => json!({"shmid": 5, "cmd": "IPC_STAT", "buf": {
            "shm_perm": {"key": "0x00000011", "uid": 0, "gid": 0, "mode": "0777", "cuid": 0, "cgid": 0}, "shm_segsz": 4096,
            "shm_atime": 1_795_418_716, "shm_dtime": 0, "shm_ctime": 1_795_418_716, "shm_cpid": 3046, "shm_lpid": 3046,
            "shm_nattch": 2}}),
        event(Call::Shmctl, &[0, 3, 0x10], &limits, 0) => json!({"shmid": 0, "cmd": "IPC_INFO", "buf": {
            "shmmax": u64::MAX, "shmmin": 1, "shmmni": 4096, "shmseg": 4096, "shmall": 7}}),
        event(Call::Shmctl, &[0, 14, 0x10], &usage, 0) => json!({"shmid": 0, "cmd": "SHM_INFO", "buf": {"used_ids": 2,
            "shm_tot": 2, "shm_rss": 0, "shm_swp": 0, "swap_attempts": 0, "swap_successes": 0}}),
    );
    let ret = |event: &Event| call_json(event, None)["ret"].take();
    all!(ret;
        event(Call::Shmat, &[5, 0, 0], b"", 0x1000) => json!("0x1000"),
        failed(Call::Shmat, &[5, 0, 0], b"", 22) => json!(-1),
        event(Call::Ftok, &[5], b"x", 0x11) => json!("0x00000011"),
        failed(Call::PosixFallocate, &[3, 0, 1], b"", 28) => json!(28),
        event(Call::Exit, &[3], b"", 0) => json!(null),
    );
    let object = |event: &Event| call_json(event, None)["object"].take();
    let sysv = |key: Value, shmid: Value| json!({"family": "sysv", "name": null, "key": key, "shmid": shmid, "dev": null, "ino": null});
    let id = ObjectId::sysv(5);
    all!(object;
        Event { object: id, ..event(Call::Shmget, &[0x11, 1, 0], b"", 5) } => sysv(json!("0x00000011"), json!(5)),
        failed(Call::Shmget, &[0x11, 1, 0], b"", 2) => sysv(json!("0x00000011"), json!(null)),
        Event { object: id, ..event(Call::Shmat, &[5, 0, 0], b"", 0x1000) } => sysv(json!(null), json!(5)),
        Event { object: id, ..event(Call::Shmctl, &[5, 2, 0], &ds, 0) } => sysv(json!("0x00000011"), json!(5)),
        event(Call::Shmdt, &[5], b"", 0) => json!(null),
    );
}

#[test]
fn json_of_the_rest() {
    let args = |event: &Event| call_json(event, Some(SHM))["args"].take();
    all!(args;
        event(Call::Ftruncate, &[3, u64::MAX], b"", 0) => json!({"fd": 3, "length": -1}),
        event(Call::Fallocate, &[3, 1, 0, 1], b"", 0) =>
            json!({"fd": 3, "mode": "FALLOC_FL_KEEP_SIZE", "offset": 0, "len": 1}),
        event(Call::PosixFallocate, &[3, 0, 1], b"", 0) => json!({"fd": 3, "offset": 0, "len": 1}),
        event(Call::Fstat, &[3], &stat(0o100600, 1), 0) =>
            json!({"fd": 3, "statbuf": {"st_mode": "S_IFREG|0600", "st_size": 1}}),
        failed(Call::Fstat, &[3], b"", 9) => json!({"fd": 3, "statbuf": null}),
        event(Call::Mmap, &[0, 4096, 3, 1, 3, 4096], b"", 0x1000) => json!({"addr": null, "length": 4096,
            "prot": "PROT_READ|PROT_WRITE", "flags": "MAP_SHARED", "fd": 3, "offset": 4096}),
        event(Call::Munmap, &[0x1000, 4096], b"", 0) => json!({"addr": "0x1000", "length": 4096}),
        event(Call::Mremap, &[0x1000, 1, 2, 3, 0x2000], b"", 0x2000) => json!({"old_address": "0x1000", "old_size": 1,
            "new_size": 2, "flags": "MREMAP_MAYMOVE|MREMAP_FIXED", "new_address": "0x2000"}),
        event(Call::Close, &[3], b"", 0) => json!({"fd": 3}),
        event(Call::Dup, &[3], b"", 4) => json!({"oldfd": 3}),
        event(Call::Dup2, &[3, 9], b"", 9) => json!({"oldfd": 3, "newfd": 9}),
        event(Call::Dup3, &[3, 9, 0], b"", 9) => json!({"oldfd": 3, "newfd": 9, "flags": "0"}),
        event(Call::Fcntl, &[3, 0, 20], b"", 20) => json!({"fd": 3, "cmd": "F_DUPFD", "arg": 20}),
        event(Call::CloseRange, &[3, int(-1), 0], b"", 0) => json!({"first": 3, "last": u32::MAX, "flags": "0"}),
        event(Call::Closefrom, &[3], b"", 0) => json!({"lowfd": 3}),
        event(Call::Fork, &[], b"", 9) => json!({}),
        event(Call::Clone, &[17, 0], b"", 9) => json!({"flags": "SIGCHLD", "stack": null}),
        event(Call::PosixSpawn, &[], b"/x", 0) => json!({"path": "/x"}),
        failed(Call::PosixSpawnp, &[], b"", 2) => json!({"file": null}),
        failed(Call::Execve, &[], b"/x", 2) => json!({"pathname": "/x"}),
        failed(Call::Execveat, &[5], b"/x", 2) => json!({"dirfd": 5, "pathname": "/x"}),
        failed(Call::Fexecve, &[5], b"", 2) => json!({"fd": 5}),
        event(Call::Exit, &[int(-1)], b"", 0) => json!({"status": -1}),
    );
    // Every other call's arguments are written too, under the prototype's names.
    for &call in CALLS {
        let whole = call_json(&event(call, &[libc::O_CREAT as u64; 6], b"x\0y", 0), None);
        assert_eq!(whole["call"], call.name());
        for (name, _) in call.args().iter().filter(|&&(name, _)| name != "new_address") {
            assert!(whole["args"].get(*name).is_some(), "{call:?} {name}");
        }
    }
}

#[test]
fn resolved_frames() {
    let frames = [0x1139, 0x2000];
    let open = Event { frames: &frames, ..event(Call::Fork, &[], b"", 9) };
    let resolve = |address: u64, each: &mut dyn FnMut(&Frame)| {
        let main = Frame { function: Some(b"main"), file: Some(b"a.c"), line: Some(3), ..Frame::default() };
        let main = Frame { module: Some(b"/path/a.out"), offset: address, ..main };
        if address == 0x1139 {
            each(&Frame { function: Some(b"inner\n"), line: None, file: None, inlined: true, ..main });
        }
        each(&main);
    };
    let line = written(4096, |line| json(line, &open, &extra(None), &resolve));
    let whole: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        whole["stack"],
        json!([
            {"function": "inner\n", "file": null, "line": null, "module": "/path/a.out", "offset": "0x1139", "inlined": true},
            {"function": "main", "file": "a.c", "line": 3, "module": "/path/a.out", "offset": "0x1139", "inlined": false},
            {"function": "main", "file": "a.c", "line": 3, "module": "/path/a.out", "offset": "0x2000", "inlined": false},
        ])
    );
}
