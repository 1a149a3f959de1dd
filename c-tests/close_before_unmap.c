/* The descriptor of a POSIX object is closed while the object is mapped, and the name unlinked before the munmap.
 * The report must say nothing: a mapping needs neither, and each of the three ends by itself.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-close_before_unmap"
#define SIZE 4609

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    char *addr = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(addr != MAP_FAILED, "mmap");

    need(close(fd) == 0, "close");
    addr[SIZE - 1] = 'c';
    need(shm_unlink(NAME) == 0, "shm_unlink");
    printf("still reads '%c'\n", addr[SIZE - 1]);
    need(munmap(addr, SIZE) == 0, "munmap");
    return 0;
}
