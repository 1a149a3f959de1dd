/* A memfd is made, sized, mapped, unmapped and closed.
 * The report must say nothing: a memfd has no name to remove, and ends with its last descriptor and mapping.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 5409

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = memfd_create("shmaudit-memfd_basic", MFD_CLOEXEC);
    need(fd != -1, "memfd_create");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    char *addr = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(addr != MAP_FAILED, "mmap");
    strcpy(addr, "in a memfd");
    puts(addr);
    need(munmap(addr, SIZE) == 0, "munmap");
    need(close(fd) == 0, "close");
    return 0;
}
