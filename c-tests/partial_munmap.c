/* The middle page of a three-page mapping of a POSIX object is unmapped, then, in one call, what is left around the hole.
 * The report must say nothing: no page of the object stays mapped.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-partial_munmap"
#define SIZE 8545
#define PAGE 4096

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
    char *base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(base != MAP_FAILED, "mmap");
    need(close(fd) == 0, "close");

    base[0] = 'f';
    base[2 * PAGE] = 'l';
    need(munmap(base + PAGE, PAGE) == 0, "munmap of the middle");
    printf("first '%c' last '%c'\n", base[0], base[2 * PAGE]);
    need(munmap(base, SIZE) == 0, "munmap of the rest");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    return 0;
}
