/* Three objects that everybody may read and write, one that everybody may read, and a segment that everybody may write.
 * The report must name each place that made some, the first with all three.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "/shmaudit-world_accessible"
#define SIZE 6701
#define KEY 0x5a4d0451

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void open_to_all(int number)
{
    char name[64];

    snprintf(name, sizeof name, NAME "-%d", number);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0666);
    need(fd != -1, "shm_open");
    need(close(fd) == 0, "close");
    need(shm_unlink(name) == 0, "shm_unlink");
}

int main(void)
{
    umask(0);
    for (int number = 1; number <= 3; number++)
        open_to_all(number);
    umask(022);
    int fd = shm_open(NAME "-read", O_RDWR | O_CREAT | O_EXCL, 0777);
    need(fd != -1, "shm_open");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME "-read") == 0, "shm_unlink");
    /* A segment's permissions do not know an umask. */
    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0602);
    need(shmid != -1, "shmget");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    return 0;
}
