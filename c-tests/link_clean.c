/* An object is made under a passing name and linked to its own when it is ready, as sem_open does it; then it is found by that
 * name, and both are removed. Another gets a second name that goes first.
 * The report must say nothing: no name is left, and a call on a second name is none on what was removed.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "/shmaudit-link_clean-"

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void make(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, 5631) == 0, "ftruncate");
    need(close(fd) == 0, "close");
}

int main(void)
{
    int dir = open("/dev/shm", O_RDONLY | O_DIRECTORY);
    need(dir != -1, "open /dev/shm");

    make(PREFIX "passing");
    need(linkat(dir, &(PREFIX "passing")[1], AT_FDCWD, "/dev/shm" PREFIX "ready", 0) == 0, "linkat");
    need(unlinkat(dir, &(PREFIX "passing")[1], 0) == 0, "unlinkat");
    int fd = shm_open(PREFIX "ready", O_RDWR, 0);
    need(fd != -1, "shm_open of the second name");
    struct stat facts;
    need(fstat(fd, &facts) == 0 && facts.st_size == 5631, "fstat");
    need(close(fd) == 0, "close");
    need(shm_unlink(PREFIX "ready") == 0, "shm_unlink");

    make(PREFIX "stays");
    need(link("/dev/shm" PREFIX "stays", "/dev/shm" PREFIX "goes") == 0, "link");
    need(shm_unlink(PREFIX "goes") == 0, "shm_unlink of the second name");
    need(shm_unlink(PREFIX "stays") == 0, "shm_unlink");
    puts("nothing left");
    return 0;
}
