/* Usage: ends WAY STATUS leak|clean. Makes an object, removes it unless it is to leak, and ends in the way asked for. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-ends"

static int status;

static void exits(void)
{
    exit(status);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 100;
    const char *way = argv[1];
    status = atoi(argv[2]);
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, 6049) != 0 || close(fd) != 0)
        return 101;
    if (strcmp(argv[3], "clean") == 0 && shm_unlink(NAME) != 0)
        return 102;
    puts("made");
    fflush(stdout);

    if (strcmp(way, "return") == 0)
        return status;
    if (strcmp(way, "return_unflushed") == 0) {
        puts("held back");
        return status;
    }
    if (strcmp(way, "exit") == 0)
        exit(status);
    if (strcmp(way, "_exit") == 0)
        _exit(status);
    if (strcmp(way, "_Exit") == 0)
        _Exit(status);
    if (strcmp(way, "quick_exit") == 0)
        quick_exit(status);
    if (strcmp(way, "exit_in_handler") == 0 && atexit(exits) == 0)
        return 50;
    return 103;
}
