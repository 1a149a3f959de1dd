//! What happens to objects when processes begin and end.

use super::calls::{Call, step, system};

/// The table.
pub const CALLS: &[Call] = &[
    Call {
        name: "fork",
        also: &["vfork", "clone", "_Fork", "posix_spawn", "posix_spawnp"],
        prototype: &["#include <unistd.h>", "pid_t fork(void);"],
        what: "The child has its parent's mappings, attachments and descriptors. Each attachment counts once more in nattch.",
        life: &[
            "Parent and child each detach, unmap and close their own.",
            "A name is removed once: agree on who does it.",
        ],
        libc: "makes clone of it, and runs pthread_atfork's handlers; vfork, posix_spawn and _Fork run none",
        x86_64: system("clone", 56, "sys_clone", "kernel/fork.c"),
        arm64: system("clone", 220, "sys_clone", "kernel/fork.c"),
        kernel: &[
            step("kernel_clone", "kernel/fork.c", "makes the process"),
            step("dup_mmap", "mm/mmap.c", "copies the mappings"),
            step("shm_open", "ipc/shm.c", "for each attachment: counts it in nattch"),
        ],
        errnos: &[
            ("EAGAIN", "as many processes as RLIMIT_NPROC, kernel.pid_max or the cgroup let"),
            ("ENOMEM", "no memory for the child's tables"),
        ],
    },
    Call {
        name: "execve",
        also: &["exec", "execl", "execle", "execlp", "execv", "execvp", "execvpe", "execveat", "fexecve"],
        prototype: &[
            "#include <unistd.h>",
            "int execve(const char *pathname, char *const argv[], char *const envp[]);",
        ],
        what: "Another program takes the process over. All mappings and attachments are gone, descriptors with O_CLOEXEC too (shm_open sets it).",
        life: &[
            "Objects stay: who made one and then became another program has lost its address, and keeps the duty to remove it.",
        ],
        libc: "passes it on; execvp tries each directory of PATH",
        x86_64: system("execve", 59, "sys_execve", "fs/exec.c"),
        arm64: system("execve", 221, "sys_execve", "fs/exec.c"),
        kernel: &[
            step("do_execveat_common", "fs/exec.c", "reads arguments and environment"),
            step("exec_mmap", "fs/exec.c", "lets the old address space go"),
            step("exit_mmap", "mm/mmap.c", "unmaps everything, with its last user"),
        ],
        errnos: &[
            ("ENOENT", "there is no such program, or its interpreter is missing"),
            ("EACCES", "it is not executable, or a directory on the way lets this user not through"),
            ("E2BIG", "arguments and environment are too long"),
            ("ENOEXEC", "it is no program that this machine knows"),
            ("ETXTBSY", "somebody has it open for writing"),
        ],
    },
    Call {
        name: "exit",
        also: &["_exit", "_Exit", "quick_exit"],
        prototype: &["#include <stdlib.h>", "void exit(int status);"],
        what: "Ends the process. The kernel closes, unmaps and detaches what it held, also after a signal. Names and segments stay.",
        life: &[
            "A handler of atexit that removes objects does not run after _exit, abort or a signal: unlink early instead.",
            "Segments marked for removal go with the last process that had them attached.",
        ],
        libc: "runs the handlers of atexit, flushes stdio, then ends all threads; _exit only the last",
        x86_64: system("exit_group", 231, "sys_exit_group", "kernel/exit.c"),
        arm64: system("exit_group", 94, "sys_exit_group", "kernel/exit.c"),
        kernel: &[
            step("do_group_exit", "kernel/exit.c", "ends every thread"),
            step("exit_mmap", "mm/mmap.c", "unmaps everything"),
            step("shm_close", "ipc/shm.c", "for each attachment: counts it out, frees what is marked"),
            step("exit_shm", "ipc/shm.c", "with kernel.shm_rmid_forced: removes what it made and nobody has"),
        ],
        errnos: &[],
    },
];
