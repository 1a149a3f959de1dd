/* An object and a segment are there before anybody audited has made them (by system calls of our own, unseen), and are then
 * met by calls that would have made them.
 * The report must name both: no-exclusive-create, and whose they are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME "/shmaudit-no_exclusive_create"
#define SIZE 6501
#define KEY 0x5a4d0431
#define KEY_SIZE 6503

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

/* What another program has left. */
static void leave(void)
{
    long fd = syscall(SYS_openat, AT_FDCWD, "/dev/shm" NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "openat");
    need(syscall(SYS_ftruncate, fd, SIZE) == 0, "ftruncate");
    need(syscall(SYS_close, fd) == 0, "close");
    need(syscall(SYS_shmget, KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600) != -1, "shmget");
}

int main(void)
{
    leave();
    int fd = shm_open(NAME, O_RDWR | O_CREAT, 0600);
    need(fd != -1, "shm_open");
    need(close(fd) == 0, "close");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | 0600);
    need(shmid != -1, "shmget");
    puts("met both");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    need(syscall(SYS_shmctl, shmid, IPC_RMID, NULL) == 0, "shmctl");
    return 0;
}
