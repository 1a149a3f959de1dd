/* A segment is asked for with its size, with less and with 0; with more, but exclusively; none is asked for with 0 bytes.
 * The report must say nothing: what is refused is refused for other reasons than a size that does not fit.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY 0x5a4d0421
#define SIZE 6401

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int none = shmget(KEY, 0, IPC_CREAT | IPC_EXCL | 0600);
    printf("0 bytes: %s\n", none == -1 ? strerror(errno) : "made");
    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    need(shmget(KEY, SIZE, 0) == shmid, "the same size");
    need(shmget(KEY, 1, IPC_CREAT | 0600) == shmid, "less");
    need(shmget(KEY, 0, 0) == shmid, "no size");
    int again = shmget(KEY, 2 * SIZE, IPC_CREAT | IPC_EXCL | 0600);
    printf("again: %s\n", again == -1 ? strerror(errno) : "made");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    return 0;
}
