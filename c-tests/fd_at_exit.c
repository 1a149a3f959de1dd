/* The descriptor of an unlinked POSIX object is still open at a normal exit.
 * The report must note the shm_open that made it: the kernel closes it, and the object is no leak.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-fd_at_exit"
#define SIZE 4641

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
    need(shm_unlink(NAME) == 0, "shm_unlink");
    puts("descriptor left open");
    return 0;
}
