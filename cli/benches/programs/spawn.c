/* Starts a program again and again, and waits for it.
 *
 *     spawn TIMES [NAME=VALUE...] PROGRAM [ARGUMENT...]
 *
 * prints "spawn NS KIB END" for each time: nanoseconds from before its start to after its end, the most memory it had, and
 * when it ended by CLOCK_MONOTONIC. What it writes is copied. Small, because a child counts its parent's memory as its own
 * until it is replaced. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    long times = atol(argv[1]);
    int at = 2;
    for (; at < argc && strchr(argv[at], '='); at++)
        putenv(argv[at]);
    for (long i = 0; i < times; i++) {
        pid_t child;
        int status;
        struct rusage usage;
        double started = now();
        if (posix_spawnp(&child, argv[at], NULL, NULL, argv + at, environ) != 0)
            return 1;
        if (wait4(child, &status, 0, &usage) != child || status != 0)
            return 1;
        double ended = now();
        printf("spawn %.0f %ld %.0f\n", ended - started, usage.ru_maxrss, ended);
    }
    return 0;
}
