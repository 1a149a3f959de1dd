/* Two objects get a second name each by link. Of one the first name is removed, of the other the second: both stay.
 * The report must name each as a posix-leak by the name that it has, made where its first was.
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
#define KEPT "/shmaudit-link_leak-kept"
#define PASSING "/shmaudit-link_leak-passing"

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

    fd = shm_open(KEPT, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, 5623) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    need(link("/dev/shm" KEPT, "/dev/shm" PASSING) == 0, "link");
    need(shm_unlink(PASSING) == 0, "shm_unlink");
    puts("left by its second name, and by its first");
    return 0;
}
