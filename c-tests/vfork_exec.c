/* Two vfork children, which run in this process's own memory, end by _exit and by exec while a segment is attached here.
 * The report must name the one object left behind afterwards, and nothing else: the children's ends were not this process's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-vfork_exec"
#define SIZE 5697
#define KEY 0x5a4d0321
#define KEY_SIZE 5699

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static int ended(pid_t pid)
{
    int status;

    need(pid != -1, "vfork");
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(void)
{
    struct shmid_ds ds;

    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    void *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");

    pid_t exits = vfork();
    if (exits == 0)
        _exit(7);
    printf("vfork and _exit: %d\n", ended(exits));

    pid_t execs = vfork();
    if (execs == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    printf("vfork and exec: %d\n", ended(execs));

    need(shmctl(shmid, IPC_STAT, &ds) == 0, "shmctl(IPC_STAT)");
    printf("nattch %lu\n", (unsigned long)ds.shm_nattch);
    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");

    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    return 0;
}
