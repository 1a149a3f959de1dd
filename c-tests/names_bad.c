/* Names that are no names, and the longest good and the shortest too long one, go through shm_open and shm_unlink.
 * The report must name the one with too many slashes, and no leak. Results and errors are the C library's own.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 5249

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void show(const char *call, const char *label, int result)
{
    printf("%s(%s) = %s\n", call, label, result == -1 ? strerror(errno) : "ok");
}

static void try_name(const char *name, const char *label)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    show("shm_open exclusively", label, fd);
    if (fd == -1) {
        show("shm_open", label, shm_open(name, O_RDWR | O_CREAT, 0600));
    } else {
        need(ftruncate(fd, SIZE) == 0, "ftruncate");
        need(close(fd) == 0, "close");
    }
    show("shm_unlink", label, shm_unlink(name));
}

/* A slash and `length` bytes. */
static void try_length(size_t length, const char *label)
{
    char name[300] = "/shmaudit-names_bad-";

    memset(name + strlen(name), 'x', sizeof name - strlen(name));
    name[1 + length] = '\0';
    try_name(name, label);
}

int main(void)
{
    static const char *const names[] = { "", "/", "/.", "/..", "/a/b" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        try_name(names[i], names[i]);
    try_length(255, "255 bytes");
    try_length(256, "256 bytes");
    return 0;
}
