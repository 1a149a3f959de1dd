/* Objects are mapped before they have a size, grow by ftruncate, by write and by posix_fallocate, are emptied and filled
 * again under a mapping, and are mapped to the end of their last page.
 * The report must say nothing: nothing is mapped beyond an end by the time it is touched.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define NAME "/shmaudit-map_before_size"
#define SIZE 6201
#define WRITTEN 6203

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static int make(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    return fd;
}

static char *map(int fd, size_t length)
{
    char *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED, "mmap");
    return at;
}

static void end(int fd, char *at, size_t length)
{
    at[length - 1] = 1;
    need(munmap(at, length) == 0, "munmap");
    need(close(fd) == 0, "close");
}

int main(void)
{
    int fd = make();
    char *at = map(fd, SIZE);
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    end(fd, at, SIZE);

    fd = make();
    need(lseek(fd, WRITTEN - 1, SEEK_SET) == WRITTEN - 1, "lseek");
    need(write(fd, "", 1) == 1, "write");
    end(fd, map(fd, WRITTEN), WRITTEN);

    fd = make();
    at = map(fd, SIZE);
    need(posix_fallocate(fd, 0, SIZE) == 0, "posix_fallocate");
    end(fd, at, SIZE);

    fd = make();
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    at = map(fd, SIZE);
    need(ftruncate(fd, 0) == 0, "ftruncate to nothing");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    end(fd, at, SIZE);

    fd = make();
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    end(fd, map(fd, 2 * PAGE), 2 * PAGE);

    fd = make();
    need(ftruncate(fd, 1) == 0, "ftruncate");
    at = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED && munmap(at, 16 * PAGE) == 0, "room for later");
    need(close(fd) == 0, "close");
    puts("all touched");
    return 0;
}
