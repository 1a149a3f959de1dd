/*
 * Leaves an object, goes to another directory, closes everything that it did not open, as daemons do, and leaves one more:
 *
 *   wanders DIRECTORY
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void leave(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || close(fd) != 0) {
        perror(name);
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    leave("/shmaudit-wanders-before");
    if (argc != 2 || chdir(argv[1]) != 0)
        return EXIT_FAILURE;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    leave("/shmaudit-wanders-after");
    return 0;
}
