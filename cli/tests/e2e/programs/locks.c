/* Locks all its memory, now and to come, by every flag, and says whether that came to be. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#define KEY_SIZE 6323

static int data[1024] = { 1 };

/* Kibibytes of the mapping that holds `at` that are locked. */
static long locked(const void *at)
{
    char line[512];
    unsigned long start, end, place = (unsigned long)at;
    long kilobytes = -1;
    int in = 0;
    FILE *file = fopen("/proc/self/smaps", "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            in = start <= place && place < end;
        if (in && sscanf(line, "Locked: %ld", &kilobytes) == 1)
            break;
    }
    if (file != NULL)
        fclose(file);
    return kilobytes;
}

static void try(int flags)
{
    errno = 0;
    int result = mlockall(flags);
    int failed = errno;
    char *later = mmap(NULL, 16 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    data[0]++;
    if (later != MAP_FAILED)
        later[0] = 1;
    printf("%d: %d %s, %s, %s\n", flags, result, failed ? strerror(failed) : "-", locked(data) > 0 ? "locked" : "not locked",
           later == MAP_FAILED ? "none later" : locked(later) > 0 ? "locked later" : "not locked later");
    if (later != MAP_FAILED)
        munmap(later, 16 << 10);
    errno = 0;
    int unlocked = munlockall();
    printf("munlockall %d, %s\n", unlocked, locked(data) > 0 ? "locked" : "not locked");
}

int main(void)
{
    int shmid = shmget(IPC_PRIVATE, KEY_SIZE, 0600);

    setvbuf(stdout, NULL, _IOLBF, 0);
    try(MCL_CURRENT);
    try(MCL_FUTURE);
    try(MCL_CURRENT | MCL_FUTURE);
    try(MCL_CURRENT | MCL_ONFAULT);
    try(0);
    try(64);
    return shmctl(shmid, IPC_RMID, NULL) != 0;
}
