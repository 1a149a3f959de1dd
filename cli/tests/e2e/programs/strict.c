/* A program that allows itself the system calls that it makes, and is killed for any other.
 *
 *     strict calls    calls of shared memory, then the end
 *     strict _exit    the same, and the end at once
 *     strict vfork    children that end at once and by an exec that fails
 *     strict fork     a child that makes the same calls
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
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-strict"
#define SIZE 6277
#define KEY_SIZE 6287

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void allow_only(const int *calls, int count)
{
    struct sock_filter code[64];
    int n = 0;

    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = { n, code };
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "seccomp");
}

static void work(void)
{
    int fd = shm_open(NAME, O_CREAT | O_RDWR, 0600);
    need(fd != -1 && ftruncate(fd, SIZE) == 0, "shm_open");
    void *at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED && munmap(at, SIZE) == 0 && close(fd) == 0, "mmap");
    fd = open("/dev/shm" NAME, O_CREAT | O_RDWR, 0600);
    need(fd != -1 && close(fd) == 0, "open");
    fd = open("/proc/self/exe", O_RDONLY);
    at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED && close(fd) == 0, "file");
    int id = shmget(IPC_PRIVATE, KEY_SIZE, 0600);
    need(id != -1 && shmctl(id, IPC_RMID, NULL) == 0, "shmget");
    need(shm_unlink(NAME) == 0, "shm_unlink");
}

static int ended(pid_t pid)
{
    int status;

    need(pid != -1, "child");
    need(wait4(pid, &status, 0, NULL) == pid, "wait4");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
    const int calls[] = {
        SYS_openat, SYS_ftruncate, SYS_mmap, SYS_munmap, SYS_close, SYS_shmget, SYS_shmctl, SYS_unlink, SYS_write,
        SYS_exit_group, SYS_vfork, SYS_clone, SYS_execve, SYS_wait4, SYS_set_robust_list,
    };
    const char *how = argc == 2 ? argv[1] : "";

    /* What it says goes out without a look at where to. */
    setvbuf(stdout, NULL, _IONBF, 0);
    work();
    allow_only(calls, sizeof calls / sizeof *calls);
    work();
    if (strcmp(how, "_exit") == 0)
        _exit(0);
    if (strcmp(how, "vfork") == 0) {
        pid_t child = vfork();
        if (child == 0)
            _exit(7);
        int first = ended(child);
        child = vfork();
        if (child == 0) {
            execl("/nonexistent", "nonexistent", (char *)NULL);
            _exit(8);
        }
        int second = ended(child);
        printf("%d %d\n", first, second);
    }
    if (strcmp(how, "fork") == 0) {
        pid_t child = fork();
        if (child == 0) {
            work();
            exit(6);
        }
        printf("%d\n", ended(child));
    }
    work();
    puts("alive");
    return 0;
}
