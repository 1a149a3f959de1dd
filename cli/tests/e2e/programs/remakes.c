/*
 * Makes an object of one name again and again, each removed by a system call of its own, which nobody sees; then makes one
 * that stays, and calls until none of that is in the recorder's ring any more:
 *
 *   remakes TIMES CALLS
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STAYS "/shmaudit-remakes-stays"
#define AGAIN "/shmaudit-remakes-again"

static void make(const char *name, long size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, size) != 0 || close(fd) != 0) {
        perror(name);
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    long times = argc > 1 ? atol(argv[1]) : 0, calls = argc > 2 ? atol(argv[2]) : 0;
    for (long i = 0; i < times; i++) {
        make(AGAIN, 7411);
        if (syscall(SYS_unlinkat, AT_FDCWD, "/dev/shm" AGAIN, 0) != 0)
            return 1;
    }
    make(STAYS, 7417);
    for (long i = 0; i < calls; i++)
        if (shm_open("/shmaudit-remakes-missing", O_RDWR, 0) != -1 || errno != ENOENT)
            return 2;
    return 0;
}
