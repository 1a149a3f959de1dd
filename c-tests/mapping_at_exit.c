/* An unlinked POSIX object is still mapped at a normal exit, its descriptor closed.
 * The report must note the mmap that mapped it: the kernel unmaps it, and the object is no leak.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-mapping_at_exit"
#define SIZE 4673

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
    need(shm_unlink(NAME) == 0, "shm_unlink");
    addr[0] = 'm';
    puts("left mapped");
    return 0;
}
