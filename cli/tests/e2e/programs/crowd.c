/* Eight threads, each in a function of its own, and the same in a child forked in the midst of it: each leaves segments
 * whose sizes say who made them. A size is 8000 + 100 * thread + round, and 1000 more in the child.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 12
#define AFTER __asm__ volatile("" ::: "memory")

static int in_child;
static pthread_barrier_t barrier;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

__attribute__((noinline)) static int make(int size)
{
    int shmid = shmget(IPC_PRIVATE, (size_t)size, IPC_CREAT | 0600);
    AFTER;
    return shmid;
}

#define THREAD(n)                                                          \
    __attribute__((noinline)) static void inner_##n(int depth, int size)   \
    {                                                                      \
        if (depth > 0)                                                     \
            inner_##n(depth - 1, size);                                    \
        else                                                               \
            need(make(size) != -1, "shmget");                              \
        /* Functions of one text would be made one. */                     \
        __asm__ volatile("" ::"r"(n) : "memory");                          \
    }                                                                      \
    static void *thread_##n(void *given)                                   \
    {                                                                      \
        pthread_barrier_wait(&barrier);                                    \
        for (int round = 0; round < ROUNDS; round++)                       \
            inner_##n((round + n) % 4, 8000 + 1000 * in_child + 100 * n + round); \
        AFTER;                                                             \
        return given;                                                      \
    }
THREAD(0)
THREAD(1)
THREAD(2)
THREAD(3)
THREAD(4)
THREAD(5)
THREAD(6)
THREAD(7)

static void run(pid_t *child)
{
    void *(*const functions[])(void *) = { thread_0, thread_1, thread_2, thread_3,
                                           thread_4, thread_5, thread_6, thread_7 };
    pthread_t threads[8];

    need(pthread_barrier_init(&barrier, NULL, 9) == 0, "pthread_barrier_init");
    for (int i = 0; i < 8; i++)
        need(pthread_create(&threads[i], NULL, functions[i], NULL) == 0, "pthread_create");
    pthread_barrier_wait(&barrier);
    if (child != NULL)
        need((*child = fork()) != -1, "fork");
    if (child != NULL && *child == 0) {
        in_child = 1;
        run(NULL);
        exit(0);
    }
    for (int i = 0; i < 8; i++)
        need(pthread_join(threads[i], NULL) == 0, "pthread_join");
}

int main(void)
{
    pid_t child;
    int status;

    run(&child);
    need(waitpid(child, &status, 0) == child, "waitpid");
    printf("%d\n", status);
    return 0;
}
