/* Descriptors of objects are taken until there are no more, and a segment is asked for that is larger than any may be.
 * The report must name both: limit-hit, with the limit of descriptors and that of a segment.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-limit_hit"
#define SIZE 7101
#define MOST 24

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    struct rlimit limit = { MOST, MOST };
    int fds[MOST], count = 0;

    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    while (count < MOST && (fds[count] = shm_open(NAME, O_RDWR, 0)) != -1)
        count++;
    printf("shm_open: %s\n", strerror(errno));
    while (count > 0)
        need(close(fds[--count]) == 0, "close");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");

    int shmid = shmget(IPC_PRIVATE, SIZE_MAX, 0600);
    printf("shmget: %s\n", shmid == -1 ? strerror(errno) : "made");
    return 0;
}
