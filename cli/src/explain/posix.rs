//! The POSIX calls that make and remove objects.

use super::calls::{Call, step, system};

const OPENAT: &str = "fs/open.c";

/// The table.
pub const CALLS: &[Call] = &[
    Call {
        name: "shm_open",
        also: &["open", "open64", "openat", "openat64", "creat"],
        prototype: &[
            "#include <sys/mman.h>",
            "#include <fcntl.h>",
            "int shm_open(const char *name, int oflag, mode_t mode);",
        ],
        what: "Opens the shared-memory object of this name, and with O_CREAT makes it: a file of length 0 on the tmpfs at /dev/shm. Returns a descriptor for ftruncate and mmap.",
        life: &[
            "The object lives until shm_unlink, not until its makers end: what nobody unlinks stays until the machine restarts.",
            "The descriptor may be closed once the object is mapped.",
            "O_EXCL tells whether this call made the object; without it, one that a crashed run has left is taken over, with its size and content.",
            "The mode is cut by the umask. 0666 lets every user of the machine read and change the memory.",
        ],
        libc: "puts /dev/shm/ before the name (leading slashes are dropped) and adds O_NOFOLLOW|O_CLOEXEC to the flags",
        x86_64: system("openat", 257, "sys_openat", OPENAT),
        arm64: system("openat", 56, "sys_openat", OPENAT),
        kernel: &[
            step("do_sys_openat2", OPENAT, "takes a free descriptor"),
            step("path_openat", "fs/namei.c", "walks the path, checks permissions"),
            step("shmem_create", "mm/shmem.c", "makes the inode, if there is none"),
            step("shmem_file_open", "mm/shmem.c", "opens it"),
        ],
        errnos: &[
            (
                "ENOENT",
                "there is no object of this name and O_CREAT was not given; or somebody has unlinked it; or /dev/shm is missing, as in a chroot",
            ),
            ("EEXIST", "O_CREAT|O_EXCL, and there is one: another instance, or one that a crashed run has left"),
            (
                "EACCES",
                "its mode does not let this user in; with O_CREAT also where it is another user's and fs.protected_regular is set, as /dev/shm is sticky",
            ),
            ("EINVAL", "the name is empty, only slashes, . or .., or has a slash behind another character"),
            ("ENAMETOOLONG", "the name is longer than 255 bytes"),
            ("EMFILE", "the process has as many descriptors as RLIMIT_NOFILE lets it: descriptors leak"),
            ("ENFILE", "the machine has as many open files as fs.file-max"),
            ("ENOSPC", "the tmpfs has no free inode (mount option nr_inodes)"),
            ("ELOOP", "there is a symbolic link of this name in /dev/shm"),
            ("ENOMEM", "the kernel has no memory for the inode"),
        ],
    },
    Call {
        name: "shm_unlink",
        also: &["unlink", "unlinkat"],
        prototype: &["#include <sys/mman.h>", "int shm_unlink(const char *name);"],
        what: "Takes the object's name away. Nobody can open it any more; who has it open or mapped keeps it.",
        life: &[
            "The memory is freed with the last mapping and the last descriptor, so unlinking as soon as every user has opened the object leaves nothing behind, whatever happens later.",
            "After it, the same name makes another object: a process that opens it then does not meet those that kept the old one.",
        ],
        libc: "puts /dev/shm/ before the name; says EACCES where the kernel says EPERM",
        x86_64: system("unlink", 87, "sys_unlink", "fs/namei.c"),
        arm64: system("unlinkat", 35, "sys_unlinkat", "fs/namei.c"),
        kernel: &[
            step("do_unlinkat", "fs/namei.c", "finds the directory entry"),
            step("vfs_unlink", "fs/namei.c", "checks permissions, the sticky bit among them"),
            step("shmem_unlink", "mm/shmem.c", "takes the name away"),
            step("shmem_evict_inode", "mm/shmem.c", "frees the pages, with the last user"),
        ],
        errnos: &[
            (
                "ENOENT",
                "there is no object of this name: unlinked already, by whom the report tells; or the name is not one",
            ),
            ("EISDIR", "the name is . or .."),
            ("EACCES", "the object is another user's: /dev/shm is sticky, only its owner and root may unlink it"),
            ("ENAMETOOLONG", "the name is longer than 255 bytes"),
        ],
    },
    Call {
        name: "rename",
        also: &["renameat", "renameat2"],
        prototype: &["#include <stdio.h>", "int rename(const char *oldpath, const char *newpath);"],
        what: "Gives a file of /dev/shm another name; shm_open has no call for it. What had that name before loses it.",
        life: &[
            "The object stays the same: who has it open or mapped does not notice, and the new name is the one to unlink.",
            "It replaces in one step: who opens the name gets the old object or the new one, and never none.",
            "An object that is replaced lives on with who has it, as after shm_unlink.",
        ],
        libc: "passes it on; on arm64 as renameat from the working directory",
        x86_64: system("rename", 82, "sys_rename", "fs/namei.c"),
        arm64: system("renameat", 38, "sys_renameat", "fs/namei.c"),
        kernel: &[
            step("do_renameat2", "fs/namei.c", "finds both directory entries"),
            step("vfs_rename", "fs/namei.c", "checks permissions, the sticky bit among them"),
            step("shmem_rename2", "mm/shmem.c", "moves the name, and takes it from what had it"),
        ],
        errnos: &[
            ("ENOENT", "there is no file of the old name"),
            ("EEXIST", "renameat2 with RENAME_NOREPLACE: there is a file of the new name"),
            ("EXDEV", "the new name is not on /dev/shm: a file cannot move to another mount"),
            ("EACCES", "a directory that is searched or written may not be"),
            ("EPERM", "one of the two is another user's, and /dev/shm is sticky"),
            ("EISDIR", "the new name is a directory's and the old one is not"),
            ("EINVAL", "renameat2 with flags that exclude each other, or that the file system does not know"),
            ("ENAMETOOLONG", "a name is longer than 255 bytes"),
        ],
    },
    Call {
        name: "memfd_create",
        also: &[],
        prototype: &[
            "#define _GNU_SOURCE",
            "#include <sys/mman.h>",
            "int memfd_create(const char *name, unsigned int flags);",
        ],
        what: "Makes an object without a name in any directory. Others get it by inheritance, over a socket (SCM_RIGHTS) or through /proc/PID/fd.",
        life: &[
            "It cannot be left behind: it goes with the last descriptor and the last mapping.",
            "With MFD_ALLOW_SEALING its size can be sealed, so that nobody can cut it below a reader's mapping.",
        ],
        libc: "passes it on",
        x86_64: system("memfd_create", 319, "sys_memfd_create", "mm/memfd.c"),
        arm64: system("memfd_create", 279, "sys_memfd_create", "mm/memfd.c"),
        kernel: &[step("shmem_file_setup", "mm/shmem.c", "makes a file on the kernel's own tmpfs")],
        errnos: &[
            ("EINVAL", "an unknown flag, or a name longer than 249 bytes"),
            ("EFAULT", "the name's address is not the process's"),
            ("EMFILE", "the process has as many descriptors as RLIMIT_NOFILE lets it"),
            ("ENFILE", "the machine has as many open files as fs.file-max"),
            ("ENOMEM", "the kernel has no memory for it"),
            ("EACCES", "without MFD_NOEXEC_SEAL, where vm.memfd_noexec is 2"),
        ],
    },
];
