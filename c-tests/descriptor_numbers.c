/* The numbers that new descriptors get, again and again, while calls of shared memory are made: the lowest that are free, as
 * ever, and with F_DUPFD the lowest from any number on. A descriptor held by somebody else would show.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-descriptor_numbers"
#define SIZE 6229

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    for (int round = 0; round < 2; round++) {
        int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
        need(fd != -1, "shm_open");
        need(ftruncate(fd, SIZE) == 0, "ftruncate");
        int copy = dup(fd);
        int null = open("/dev/null", O_RDWR);
        printf("%d %d %d:", fd, copy, null);
        int from[] = { 0, 10, 200, 210, 211, 212, 213, 255 }, got[8];
        for (int i = 0; i < 8; i++) {
            got[i] = fcntl(i % 2 ? fd : null, i % 3 ? F_DUPFD : F_DUPFD_CLOEXEC, from[i]);
            printf(" %d", got[i]);
        }
        puts("");
        for (int i = 0; i < 8; i++)
            need(close(got[i]) == 0, "close");
        need(close(null) == 0 && close(copy) == 0 && close(fd) == 0, "close");
        need(shm_unlink(NAME) == 0, "shm_unlink");
    }
    return 0;
}
