/*
 * Maps and unmaps memory of its own where shared memory has been: at an address from which a segment was detached, and
 * above one at which an munmap was refused. Says whether it got those addresses.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define LENGTH 81920

static char *reserve(size_t length)
{
    char *at = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(EXIT_FAILURE);
    }
    return at;
}

/* Anonymous memory at `at`, unmapped again. */
static void stranger(char *at)
{
    char *got = mmap(at, LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    printf("%s\n", got == at ? "there" : "elsewhere");
    munmap(got, LENGTH);
}

int main(void)
{
    /* Room for one attachment, a page, and another. */
    char *room = reserve(4 * LENGTH);
    munmap(room, 4 * LENGTH);
    int shmid = shmget(IPC_PRIVATE, LENGTH, IPC_CREAT | 0600);
    char *one = shmat(shmid, room, 0), *other = shmat(shmid, room + LENGTH, 0);
    if (one != room || other != room + LENGTH) {
        perror("shmat");
        return EXIT_FAILURE;
    }
    /* What begins there is not what ends there: the other's pages stay the audit's. */
    shmdt(one);
    stranger(one);
    munmap(other, 4096);
    shmdt(other);
    shmctl(shmid, IPC_RMID, NULL);

    int fd = memfd_create("shmaudit-strangers", 0);
    if (fd == -1 || ftruncate(fd, LENGTH) != 0)
        return EXIT_FAILURE;
    char *object = mmap(room, LENGTH, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
    if (object != room) {
        perror("mmap");
        return EXIT_FAILURE;
    }
    printf("refused %d\n", munmap(object, SIZE_MAX));
    printf("refused %d\n", munmap(object + 1, LENGTH));
    stranger(object + 2 * LENGTH);
    munmap(object, LENGTH);
    close(fd);
    return 0;
}
