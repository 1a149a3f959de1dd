/* Objects are made, sized, mapped and opened by the names that compilers give these functions for large files and for checked flags.
 * The report must say of them what it says of the first names: three leaks of the right size, a mapping beyond the end, a descriptor.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATH "/dev/shm/shmaudit-other_names-"

int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = open64(PATH "a", O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1 && ftruncate64(fd, 5641) == 0 && close(fd) == 0, "open64");
    fd = openat64(AT_FDCWD, PATH "b", O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1 && posix_fallocate64(fd, 0, 5642) == 0 && close(fd) == 0, "openat64");
    fd = creat64(PATH "c", 0600);
    need(fd != -1 && fallocate64(fd, 0, 0, 5643) == 0 && close(fd) == 0, "creat64");

    fd = open64(PATH "d", O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1 && ftruncate64(fd, 4096) == 0, "open64");
    int copy = fcntl64(fd, F_DUPFD, 100);
    need(copy == 100, "fcntl64");
    void *addr = mmap64(NULL, 8192, PROT_READ, MAP_SHARED, copy, 0);
    need(addr != MAP_FAILED && munmap(addr, 8192) == 0, "mmap64");
    need(close(fd) == 0 && close(copy) == 0 && unlink(PATH "d") == 0, "unlink");

    need(__open_2(PATH "a", O_RDONLY) != -1, "__open_2");
    need(__open64_2(PATH "a", O_RDONLY) != -1, "__open64_2");
    need(__openat_2(AT_FDCWD, PATH "a", O_RDONLY) != -1, "__openat_2");
    need(__openat64_2(AT_FDCWD, PATH "a", O_RDONLY) != -1, "__openat64_2");
    puts("left three, and four descriptors");
    return 0;
}
