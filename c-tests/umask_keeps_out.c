/* Objects are made with 0666 and 0777, but the umask lets nobody else in; others are for a group, or have no name.
 * The report must say nothing: nobody else may read or write any of them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "/shmaudit-umask_keeps_out"
#define SIZE 6801
#define KEY 0x5a4d0461

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void cycle(int mask, mode_t mode)
{
    struct stat facts;

    umask((mode_t)mask);
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, mode);
    need(fd != -1, "shm_open");
    need(fstat(fd, &facts) == 0, "fstat");
    printf("%04o\n", (unsigned)facts.st_mode & 07777);
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
}

int main(void)
{
    cycle(077, 0666);
    cycle(007, 0777);
    cycle(0, 0660);
    /* To be executed by others is to be neither read nor written. */
    cycle(0, 0601);
    int fd = memfd_create("shmaudit-umask_keeps_out", 0);
    need(fd != -1 && close(fd) == 0, "memfd_create");
    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0660);
    need(shmid != -1, "shmget");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    return 0;
}
