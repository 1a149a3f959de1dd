/* An object is made, mapped and removed by its path under /dev/shm, with open and unlink alone.
 * The report must say nothing: this is what shm_open and shm_unlink do, and the object is gone.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATH "/dev/shm/shmaudit-direct_open"
#define SIZE 5441

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = open(PATH, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    char *addr = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(addr != MAP_FAILED, "mmap");
    strcpy(addr, "by its path");
    puts(addr);
    need(munmap(addr, SIZE) == 0, "munmap");
    need(close(fd) == 0, "close");
    need(unlink(PATH) == 0, "unlink");
    return 0;
}
