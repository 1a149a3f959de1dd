/* Four threads each leave one POSIX object behind, all from the same line of the same function.
 * The report must name all four, each by its own name and size: one call site is not one object.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS 4
#define SIZE 5121

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void *leak_one(void *arg)
{
    int n = (int)(intptr_t)arg;
    char name[64];

    snprintf(name, sizeof name, "/shmaudit-threads_leak-%d", n);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE + 2 * n) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];

    for (int n = 0; n < THREADS; n++)
        need(pthread_create(&threads[n], NULL, leak_one, (void *)(intptr_t)n) == 0, "pthread_create");
    for (int n = 0; n < THREADS; n++)
        need(pthread_join(threads[n], NULL) == 0, "pthread_join");
    printf("%d objects left\n", THREADS);
    return 0;
}
