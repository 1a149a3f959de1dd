/* Leaves an object from where the report cannot be made in a child.
 *
 *     apart pid       the next child would be the first of a new pid namespace
 *     apart clone     a filter answers clone with EPERM, and lets all else pass
 *     apart chroot    / is another directory, the argument after
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NAME "/shmaudit-apart"
#define SIZE 6311

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

/* By the bare system calls: a filter that the program's library could not see come. */
static void refuse_clone(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    need(syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    need(syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "seccomp");
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    if (strcmp(how, "pid") == 0)
        need(unshare(CLONE_NEWPID) == 0, "unshare");
    if (strcmp(how, "clone") == 0)
        refuse_clone();
    if (strcmp(how, "chroot") == 0)
        need(argc == 3 && chroot(argv[2]) == 0 && chdir("/") == 0, "chroot");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    closefrom(3);
    errno = 0;
    need(close(fd) == -1 && errno == EBADF, "close");
    puts("apart");
    return 0;
}
