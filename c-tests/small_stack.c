/* A thread with the smallest stack that the system allows goes through the whole cycle of both families.
 * The report must say nothing, and the thread must neither fail to start nor run off its stack.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-small_stack"
#define SIZE 5857
#define KEY 0x5a4d0371
#define KEY_SIZE 5859

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

/* Says which step failed, 0 if none: stdio needs more stack than there is here. */
static void *cycle(void *arg)
{
    int *step = arg;

    *step = 1;
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, SIZE) != 0)
        return NULL;
    *step = 2;
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    map[0] = 'm';
    *step = 3;
    if (munmap(map, SIZE) != 0 || close(fd) != 0 || shm_unlink(NAME) != 0)
        return NULL;

    *step = 4;
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    if (shmid == -1)
        return NULL;
    *step = 5;
    char *addr = shmat(shmid, NULL, 0);
    if (addr == (void *)-1)
        return NULL;
    addr[0] = 'a';
    *step = 6;
    if (shmdt(addr) != 0 || shmctl(shmid, IPC_RMID, NULL) != 0)
        return NULL;
    *step = 0;
    return NULL;
}

int main(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    int step = -1;

    need(pthread_attr_init(&attr) == 0, "pthread_attr_init");
    need(pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN) == 0, "pthread_attr_setstacksize");
    need(pthread_create(&thread, &attr, cycle, &step) == 0, "pthread_create");
    need(pthread_join(thread, NULL) == 0, "pthread_join");
    need(pthread_attr_destroy(&attr) == 0, "pthread_attr_destroy");
    printf("failed step: %d\n", step);
    return step;
}
