/*
 * Forks many children, one after the other; every other one ends without a word. Then one that leaves an object.
 *
 *     workers CHILDREN
 *     workers CHILDREN filter    all end without a word, and before that last one it forbids itself kill, on pain of death
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void forbid(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "seccomp");
}

static void ends(pid_t child)
{
    int status;
    need(child != -1 && waitpid(child, &status, 0) == child && status == 0, "child");
}

int main(int argc, char **argv)
{
    long children = argc > 1 ? atol(argv[1]) : 0;
    need(shm_unlink("/shmaudit-workers") == -1, "shm_unlink");
    for (long i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0 && (argc > 2 || i % 2 == 0))
            syscall(SYS_exit_group, 0);
        if (child == 0)
            _exit(0);
        ends(child);
    }
    if (argc > 2)
        forbid();
    pid_t last = fork();
    if (last == 0) {
        int fd = shm_open("/shmaudit-workers", O_RDWR | O_CREAT | O_EXCL, 0600);
        need(fd != -1 && ftruncate(fd, 6763) == 0 && close(fd) == 0, "shm_open");
        _exit(0);
    }
    ends(last);
    printf("last %ld\n", (long)last);
    return 0;
}
