/* A process runs out of descriptors for files, and of addresses for memory of its own, while it holds shared memory; calls on
 * shared memory fail, but for other reasons.
 * The report must say nothing: no call on shared memory met a limit.
 */
#define _GNU_SOURCE
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

#define NAME "/shmaudit-limit_elsewhere"
#define SIZE 7201
#define KEY 0x5a4d0471
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
    while (count < MOST && (fds[count] = open("/dev/null", O_RDONLY)) != -1)
        count++;
    printf("open: %s\n", strerror(errno));
    while (count > 0)
        need(close(fds[--count]) == 0, "close");
    void *at = mmap(NULL, SIZE_MAX / 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("mmap: %s\n", at == MAP_FAILED ? strerror(errno) : "mapped");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");

    int shmid = shmget(KEY, SIZE, 0);
    printf("shmget: %s\n", shmid == -1 ? strerror(errno) : "found");
    shmid = shmget(IPC_PRIVATE, 0, 0600);
    printf("shmget: %s\n", shmid == -1 ? strerror(errno) : "made");
    return 0;
}
