/* Four threads each make, use and remove an object of each family two hundred times over, re-using each other's addresses, numbers and ids.
 * The report must say nothing: an address or number that is taken again by another thread is not one that was kept.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 200
#define KEY 0x5a4d01f1
#define SIZE 5089

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void object_round(const char *name, size_t size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, (off_t)size) == 0, "ftruncate");
    char *addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(addr != MAP_FAILED, "mmap");
    addr[0] = 'o';
    need(munmap(addr, size) == 0, "munmap");
    need(close(fd) == 0, "close");
    need(shm_unlink(name) == 0, "shm_unlink");
}

static void segment_round(key_t key, size_t size)
{
    int shmid = shmget(key, size, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    char *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");
    addr[0] = 's';
    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
}

static void *churn(void *arg)
{
    int n = (int)(intptr_t)arg;
    char name[64];

    snprintf(name, sizeof name, "/shmaudit-threads_churn-%d", n);
    for (int i = 0; i < ROUNDS; i++) {
        object_round(name, SIZE + 2 * (size_t)n);
        segment_round(KEY + n, SIZE + 8 + 2 * (size_t)n);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];

    for (int n = 0; n < THREADS; n++)
        need(pthread_create(&threads[n], NULL, churn, (void *)(intptr_t)n) == 0, "pthread_create");
    for (int n = 0; n < THREADS; n++)
        need(pthread_join(threads[n], NULL) == 0, "pthread_join");
    printf("%d rounds of each family\n", THREADS * ROUNDS);
    return 0;
}
