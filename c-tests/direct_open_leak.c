/* An object is made by its path under /dev/shm with open alone, and left behind.
 * The report must name it as a posix-leak made by that open: it is an object like any other.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH "/dev/shm/shmaudit-direct_open_leak"
#define SIZE 5473

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
    need(close(fd) == 0, "close");
    puts("left " PATH);
    return 0;
}
