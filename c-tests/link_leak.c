/* An object gets a second name by link, and its first is removed: it is the same object, and stays.
 * The report must name it as a posix-leak by the name that it has, made where the first was.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST "/shmaudit-link_leak-first"
#define SECOND "/shmaudit-link_leak-second"

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = shm_open(FIRST, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, 5621) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    need(link("/dev/shm" FIRST, "/dev/shm" SECOND) == 0, "link");
    need(shm_unlink(FIRST) == 0, "shm_unlink");
    puts("left by its second name");
    return 0;
}
