/*
 * A library behind the audit's: before its unlink comes back, somebody else has made the name anew.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AGAIN "/shmaudit-renews-again"

int unlink(const char *path)
{
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);

    if (result == 0 && strcmp(path, "/dev/shm" AGAIN) == 0) {
        int fd = shm_open(AGAIN, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd == -1 || ftruncate(fd, 7433) != 0 || close(fd) != 0)
            return -1;
    }
    return result;
}
