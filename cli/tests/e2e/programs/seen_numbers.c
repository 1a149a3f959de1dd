/* A second thread looks, as fast as it can, whether the lowest free number of a descriptor is in use, while the first loads
 * and unloads a file (the argument) whose function makes a call of shared memory: new code on the call's stack each time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS 3000

/* Odd while a call is being made. */
static volatile long turn;
static volatile int stop;
static long seen, looks;

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void *watch(void *number)
{
    while (!stop) {
        long before = turn;
        if (before % 2 != 0 && syscall(SYS_fcntl, *(int *)number, F_GETFD) != -1 && turn == before)
            seen++;
        looks++;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int lowest = dup(0);

    need(argc == 2 && lowest != -1 && close(lowest) == 0, "arguments");
    need(pthread_create(&thread, NULL, watch, &lowest) == 0, "pthread_create");
    for (int i = 0; i < ROUNDS; i++) {
        void *file = dlopen(argv[1], RTLD_NOW);
        need(file != NULL, "dlopen");
        int (*call)(void) = (int (*)(void))dlsym(file, "call");
        need(call != NULL, "dlsym");
        turn++;
        __sync_synchronize();
        need(call() == 0, "call");
        __sync_synchronize();
        turn++;
        need(dlclose(file) == 0, "dlclose");
    }
    stop = 1;
    need(pthread_join(thread, NULL) == 0, "pthread_join");
    printf("%s, seen %ld times\n", looks > ROUNDS ? "looked often" : "looked rarely", seen);
    return 0;
}
