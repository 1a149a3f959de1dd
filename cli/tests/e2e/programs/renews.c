/*
 * Names that change hands: one is removed by its path and made anew at once (by renews_behind.c), two are exchanged and
 * exchanged back, one is renamed to what it is. Then calls until none of that is in the recorder's ring any more:
 *
 *   renews CALLS
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define AGAIN "/shmaudit-renews-again"
#define ONE "/shmaudit-renews-one"
#define OTHER "/shmaudit-renews-other"
#define GOES "/shmaudit-renews-goes"

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void make(const char *name, long size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1 && ftruncate(fd, size) == 0 && close(fd) == 0, name);
}

static void exchange(const char *one, const char *other)
{
    need(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0, "renameat2");
}

int main(int argc, char **argv)
{
    make(AGAIN, 7411);
    need(unlink("/dev/shm" AGAIN) == 0, "unlink");
    make(ONE, 7451);
    make(OTHER, 7457);
    exchange("/dev/shm" ONE, "/dev/shm" OTHER);
    need(rename("/dev/shm" OTHER, "/dev/shm" OTHER) == 0, "rename to itself");
    exchange("/dev/shm" OTHER, "/dev/shm" ONE);
    /* What has the other's name by now is removed by it. */
    make(GOES, 7459);
    exchange("/dev/shm" ONE, "/dev/shm" GOES);
    need(shm_unlink(ONE) == 0, "shm_unlink");
    need(rename("/dev/shm" GOES, "/dev/shm" ONE) == 0, "rename");
    for (long i = argc > 1 ? atol(argv[1]) : 0; i > 0; i--)
        need(shm_open("/shmaudit-renews-missing", O_RDWR, 0) == -1 && errno == ENOENT, "missing");
    return 0;
}
