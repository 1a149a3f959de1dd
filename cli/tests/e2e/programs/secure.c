/* Says whether it runs in the loader's secure mode, and leaves an object behind. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-secure"

int main(void)
{
    printf("secure %lu\n", getauxval(AT_SECURE));
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    return fd == -1 || ftruncate(fd, 6053) != 0 || close(fd) != 0;
}
