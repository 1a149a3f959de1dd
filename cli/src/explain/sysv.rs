//! The System V calls.

use super::calls::{Call, step, system};

const SHM: &str = "ipc/shm.c";

/// The table.
pub const CALLS: &[Call] = &[
    Call {
        name: "shmget",
        also: &[],
        prototype: &["#include <sys/shm.h>", "int shmget(key_t key, size_t size, int shmflg);"],
        what: "Finds the segment of this key, or makes it (IPC_CREAT); IPC_PRIVATE always makes a new one. Returns its shmid.",
        life: &[
            "A segment lives until IPC_RMID, not until its makers end.",
            "IPC_EXCL tells whether this call made the segment; without it, one that a crashed run has left is taken over, whatever its size and content.",
            "Nothing holds a segment whose shmid nobody kept: of IPC_PRIVATE, remember it.",
        ],
        libc: "passes it on",
        x86_64: system("shmget", 29, "sys_shmget", SHM),
        arm64: system("shmget", 194, "sys_shmget", SHM),
        kernel: &[
            step("ksys_shmget", SHM, "names what it wants"),
            step("ipcget", "ipc/util.c", "looks the key up, checks permissions"),
            step("newseg", SHM, "if there is none: checks shmmax, shmall, shmmni"),
            step(
                "shmem_kernel_file_setup",
                "mm/shmem.c",
                "makes a file on the kernel's own tmpfs; SHM_HUGETLB: hugetlb_file_setup",
            ),
        ],
        errnos: &[
            ("ENOENT", "there is no segment of this key and IPC_CREAT was not given"),
            ("EEXIST", "IPC_CREAT|IPC_EXCL, and there is one: another instance, or one that a crashed run has left"),
            (
                "EINVAL",
                "the segment exists and is smaller than size: an older version's; or a new one of 0 bytes or more than kernel.shmmax",
            ),
            ("EACCES", "its mode does not give this user what the low nine bits of shmflg ask for"),
            ("ENOSPC", "kernel.shmmni segments exist, or their pages would be more than kernel.shmall"),
            ("ENOMEM", "the kernel has no memory for it, or commits no more (vm.overcommit_memory is 2)"),
            ("EPERM", "SHM_HUGETLB without CAP_IPC_LOCK and outside of the group vm.hugetlb_shm_group"),
            ("ENFILE", "the machine has as many open files as fs.file-max: a segment is one"),
        ],
    },
    Call {
        name: "shmat",
        also: &[],
        prototype: &["#include <sys/shm.h>", "void *shmat(int shmid, const void *shmaddr, int shmflg);"],
        what: "Attaches a segment: maps all of it, at an address that the kernel chooses if shmaddr is NULL. Returns the address, or (void *) -1.",
        life: &[
            "Each attachment is to be undone by one shmdt of the address returned; exec and exit detach, fork copies attachments.",
            "nattch counts mappings: a fork adds one for each, mprotect or munmap of a part in the middle splits one.",
            "A segment marked for removal can still be attached by its shmid, but not found by its key.",
        ],
        libc: "passes it on",
        x86_64: system("shmat", 30, "sys_shmat", SHM),
        arm64: system("shmat", 196, "sys_shmat", SHM),
        kernel: &[
            step("do_shmat", SHM, "finds the segment, checks permissions, counts it in nattch"),
            step("do_mmap", "mm/mmap.c", "chooses the address"),
            step("shm_mmap", SHM, "notes who attached last, and when"),
        ],
        errnos: &[
            (
                "EINVAL",
                "no segment has this shmid (removed, or it is a key); or shmaddr is not on a page and SHM_RND is not given, or something is mapped there",
            ),
            ("EIDRM", "the segment is being removed right now"),
            ("EACCES", "its mode does not let this user in; without SHM_RDONLY it must give read and write permission"),
            ("ENOMEM", "no room in the address space (RLIMIT_AS), or vm.max_map_count mappings: attachments leak"),
        ],
    },
    Call {
        name: "shmdt",
        also: &[],
        prototype: &["#include <sys/shm.h>", "int shmdt(const void *shmaddr);"],
        what: "Detaches the segment that is attached at this address, all pieces that are left of it.",
        life: &[
            "A segment marked for removal goes with its last detach.",
            "A child may detach what its parent has attached: the parent's attachment stays.",
            "A second shmdt of the same address fails, or detaches what somebody else has attached there meanwhile.",
        ],
        libc: "passes it on",
        x86_64: system("shmdt", 67, "sys_shmdt", SHM),
        arm64: system("shmdt", 197, "sys_shmdt", SHM),
        kernel: &[
            step("ksys_shmdt", SHM, "finds the mappings of one segment that begin there"),
            step("do_vmi_align_munmap", "mm/vma.c", "unmaps each"),
            step("shm_close", SHM, "counts it out of nattch"),
            step("shm_destroy", SHM, "frees the segment, if it is marked and nobody has it"),
        ],
        errnos: &[(
            "EINVAL",
            "no segment is attached at this address: detached already, an address inside, a mapping that is no attachment, or (void *) -1 of a failed shmat",
        )],
    },
    Call {
        name: "shmctl",
        also: &[],
        prototype: &["#include <sys/shm.h>", "int shmctl(int shmid, int cmd, struct shmid_ds *buf);"],
        what: "Asks about a segment (IPC_STAT), changes its owner and mode (IPC_SET), marks it for removal (IPC_RMID), locks it into memory (SHM_LOCK, SHM_UNLOCK). IPC_INFO, SHM_INFO, SHM_STAT tell of all.",
        life: &[
            "IPC_RMID right after every user has attached leaves nothing behind: the segment goes with the last detach, whatever happens.",
            "Marked for removal, a segment has no key any more and SHM_DEST in its mode; a second IPC_RMID succeeds too.",
            "kernel.shm_rmid_forced=1 removes what nobody has attached by itself.",
        ],
        libc: "passes it on; on 32-bit machines with times of 64 bits",
        x86_64: system("shmctl", 31, "sys_shmctl", SHM),
        arm64: system("shmctl", 195, "sys_shmctl", SHM),
        kernel: &[
            step("ksys_shmctl", SHM, "chooses by cmd"),
            step("shmctl_down", SHM, "IPC_RMID, IPC_SET: checks that the caller owns it"),
            step("do_shm_rmid", SHM, "IPC_RMID: marks it, or frees it where nobody has it attached"),
            step("shmctl_stat", SHM, "IPC_STAT, SHM_STAT: checks read permission"),
            step("shmctl_do_lock", SHM, "SHM_LOCK, SHM_UNLOCK"),
        ],
        errnos: &[
            ("EINVAL", "no segment has this shmid: removed already, or it is a key; or an unknown cmd"),
            ("EIDRM", "the segment is being removed right now"),
            (
                "EPERM",
                "IPC_RMID and IPC_SET are for its owner, its creator and CAP_SYS_ADMIN; SHM_LOCK and SHM_UNLOCK for those two and CAP_IPC_LOCK, and SHM_LOCK not where RLIMIT_MEMLOCK is 0",
            ),
            ("EACCES", "IPC_STAT, SHM_STAT: its mode gives this user no read permission"),
            ("EFAULT", "buf is not the process's"),
            ("EOVERFLOW", "IPC_STAT: a user or group id is too large for the caller's struct"),
            ("ENOMEM", "SHM_LOCK: more than RLIMIT_MEMLOCK"),
        ],
    },
    Call {
        name: "ftok",
        also: &[],
        prototype: &["#include <sys/ipc.h>", "key_t ftok(const char *pathname, int proj_id);"],
        what: "Makes a key of a file that exists and a number: 8 bits of proj_id, 8 of the file's device, 16 of its inode. It makes no segment.",
        life: &[
            "A failed ftok returns -1, which shmget takes for a key like any other: check it.",
            "proj_id counts with its low 8 bits only, and 0 is undefined. Two files may give one key.",
            "The file made anew has another inode, and the key is another: programs that agree on a path no longer meet.",
        ],
        libc: "asks for the file's status and puts the key together itself",
        x86_64: system("newfstatat", 262, "sys_newfstatat", "fs/stat.c"),
        arm64: system("newfstatat", 79, "sys_newfstatat", "fs/stat.c"),
        kernel: &[
            step("vfs_fstatat", "fs/stat.c", "finds the file"),
            step("vfs_getattr", "fs/stat.c", "asks its file system"),
        ],
        errnos: &[
            ("ENOENT", "there is no such file"),
            ("EACCES", "a directory on the way lets this user not through"),
            ("ENOTDIR", "a part of the way is no directory"),
            ("ENAMETOOLONG", "the path is longer than 4095 bytes, or a part of it than 255"),
            ("ELOOP", "symbolic links lead in a circle"),
        ],
    },
];
