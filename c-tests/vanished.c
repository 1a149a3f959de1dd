/* An object and a segment are removed by somebody unseen (by system calls of our own) while their maker still counts on them.
 * The report must name both: vanished, and what looked for them in vain.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME "/shmaudit-vanished"
#define SIZE 7301
#define KEY 0x5a4d0481
#define KEY_SIZE 7303

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");

    need(syscall(SYS_unlinkat, AT_FDCWD, "/dev/shm" NAME, 0) == 0, "unlinkat");
    need(syscall(SYS_shmctl, shmid, IPC_RMID, NULL) == 0, "shmctl");

    fd = shm_open(NAME, O_RDWR, 0);
    printf("shm_open: %s\n", fd == -1 ? strerror(errno) : "opened");
    void *at = shmat(shmid, NULL, 0);
    printf("shmat: %s\n", at == (void *)-1 ? strerror(errno) : "attached");
    return 0;
}
