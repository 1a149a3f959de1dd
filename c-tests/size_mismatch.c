/* A segment is asked for with more bytes than it has, as after an update of one of two programs, and an object is mapped by
 * the size that fstat tells before its maker has given it one.
 * The report must name both: size-mismatch, with the size that there is and who made it.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "/shmaudit-size_mismatch"
#define KEY 0x5a4d0411
#define SIZE 6301
#define MORE 12601

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    struct stat facts;

    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    for (int i = 0; i < 2; i++) {
        int other = shmget(KEY, MORE, IPC_CREAT | 0600);
        printf("shmget: %s\n", other == -1 ? strerror(errno) : "found");
    }
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");

    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(fstat(fd, &facts) == 0, "fstat");
    void *at = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED, fd, 0);
    printf("mmap: %s\n", at == MAP_FAILED ? strerror(errno) : "mapped");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    return 0;
}
