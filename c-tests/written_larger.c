/* Objects get a few bytes by ftruncate, then more by pwrite, as SQLite and Berkeley DB do it, and are mapped as large as they
 * are by then: from the start, from an offset, and once more when a second descriptor has made them larger.
 * The report must say nothing: nothing is mapped beyond an end.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 65536
#define NAME "/shmaudit-written_larger"

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void grow(int fd, off_t size)
{
    need(pwrite(fd, "", 1, size - 1) == 1, "pwrite");
}

static void use(int fd, off_t offset, size_t length)
{
    char *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
    need(at != MAP_FAILED, "mmap");
    at[length - 1] = 1;
    need(munmap(at, length) == 0, "munmap");
}

int main(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, 3) == 0, "ftruncate");
    grow(fd, 2 * PAGE - 1);
    use(fd, 0, 2 * PAGE - 1);
    use(fd, PAGE, PAGE - 1);

    int other = shm_open(NAME, O_RDWR, 0);
    need(other != -1, "shm_open");
    grow(other, 3 * PAGE - 5);
    use(fd, PAGE, 2 * PAGE - 5);
    need(close(other) == 0 && close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    puts("written and mapped");
    return 0;
}
