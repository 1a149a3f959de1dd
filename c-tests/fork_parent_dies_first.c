/* A parent makes one object of each family and ends while its child runs; the child, seeing the parent gone, removes both.
 * The parent's verdict must be pending for both, never a leak; the child settles for the family and must find nothing.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-fork_parent_dies_first"
#define SIZE 4833
#define KEY 0x5a4d0171
#define KEY_SIZE 4835

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int alive[2];
    char byte;

    need(pipe(alive) == 0, "pipe");
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    puts("parent: made both");
    fflush(stdout);

    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid != 0)
        return 0;

    /* Only the parent's end keeps the pipe open now: end of file says that the kernel has closed it. */
    close(alive[1]);
    need(read(alive[0], &byte, 1) == 0, "read");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    puts("child: removed both");
    return 0;
}
