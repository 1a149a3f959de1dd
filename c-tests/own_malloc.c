/* A program with a malloc of its own, as jemalloc is one: a lock that is held while it gets memory from the kernel, which
 * here is shared memory without a name. A hook of mmap that asked for memory would wait for the lock that its own caller
 * holds. calloc and free are called from handlers of fork too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-own_malloc"
#define SIZE 6151
#define CHUNK (1 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *at, *end;
static long chunks;

void *malloc(size_t size)
{
    void *got = NULL;

    size = (size + 31) & ~(size_t)15;
    pthread_mutex_lock(&lock);
    if ((size_t)(end - at) < size && size <= CHUNK) {
        int fd = memfd_create("own_malloc", MFD_CLOEXEC);
        if (fd != -1 && ftruncate(fd, CHUNK) == 0) {
            char *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (chunk != MAP_FAILED) {
                at = chunk;
                end = at + CHUNK;
                chunks++;
            }
        }
        if (fd != -1)
            close(fd);
    }
    if ((size_t)(end - at) >= size) {
        *(size_t *)at = size;
        got = at + 16;
        at += size;
    }
    pthread_mutex_unlock(&lock);
    return got;
}

void free(void *old)
{
    (void)old;
}

void *calloc(size_t count, size_t size)
{
    void *got = malloc(count * size);

    return got ? memset(got, 0, count * size) : NULL;
}

void *realloc(void *old, size_t size)
{
    void *got = malloc(size);

    if (got && old) {
        size_t had = *(size_t *)((char *)old - 16) - 16;
        memcpy(got, old, had < size ? had : size);
    }
    return got;
}

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    for (int i = 0; i < 2000; i++)
        need(malloc(4000) != NULL, "malloc");
    pid_t child = fork();
    need(child != -1, "fork");
    if (child == 0) {
        for (int i = 0; i < 500; i++)
            need(malloc(4000) != NULL, "malloc");
        _exit(chunks > 8 ? 0 : 1);
    }
    int status;
    need(waitpid(child, &status, 0) == child, "waitpid");
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    printf("child %d, %s\n", status, chunks > 6 ? "chunks from the kernel" : "no chunks");
    return 0;
}
