/* A program that forbids itself a system call that it does not make, statx, on pain of death, and goes on.
 *
 *     filtered own         under a filter of its own
 *     filtered root        the same without no_new_privs, which only root may
 *     filtered inherited   under its parent's: it runs itself again
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void forbid(int privileges)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_statx, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    if (!privileges)
        need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "seccomp");
}

static void work(void)
{
    int fd = shm_open("/shmaudit-filtered", O_CREAT | O_EXCL | O_RDWR, 0600);
    need(fd != -1 && ftruncate(fd, 4801) == 0, "shm_open");
    void *at = mmap(NULL, 4801, PROT_READ, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED && munmap(at, 4801) == 0 && close(fd) == 0, "mmap");
    fd = open("/dev/shm/shmaudit-filtered", O_CREAT | O_RDWR, 0600);
    need(fd != -1 && close(fd) == 0, "open");
    fd = open("/proc/self/exe", O_RDONLY);
    at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED && close(fd) == 0, "file");
    int id = shmget(IPC_PRIVATE, 4802, 0600);
    need(id != -1 && shmctl(id, IPC_RMID, NULL) == 0, "shmget");
    need(shm_unlink("/shmaudit-filtered") == 0, "shm_unlink");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "inherited") == 0) {
        forbid(0);
        execl("/proc/self/exe", argv[0], "as it is", NULL);
        return 1;
    }
    work();
    if (argc == 2 && strcmp(argv[1], "as it is") != 0)
        forbid(strcmp(argv[1], "root") == 0);
    work();
    puts("alive");
    return 0;
}
