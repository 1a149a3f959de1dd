/* Names hold a newline, an escape sequence and bytes that are not UTF-8; one such object is removed, one is left behind.
 * The report must name the one left with its bytes escaped: no terminal may be driven, no line broken by a name.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define REMOVED "/shmaudit-names_odd_bytes-removed\n\033]0;x\007\302\200\377\\\""
#define LEFT "/shmaudit-names_odd_bytes-\n\033[31m\377"

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void make(const char *name, off_t size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, size) == 0, "ftruncate");
    need(close(fd) == 0, "close");
}

int main(void)
{
    make(REMOVED, 5217);
    make(LEFT, 5219);
    need(shm_unlink(REMOVED) == 0, "shm_unlink");
    puts("one removed, one left");
    return 0;
}
