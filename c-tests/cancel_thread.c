/* Four threads that attach and detach in a loop are cancelled; a cleanup handler detaches what a cancelled thread holds.
 * The report must say nothing, and no attachment may stay: none of the calls may turn into a cancellation point.
 */
#define _XOPEN_SOURCE 700
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define THREADS 4
#define ROUNDS 100
#define KEY 0x5a4d0361
#define SIZE 5825

static int shmid;
static atomic_int rounds[THREADS], failed;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void detach(void *addr)
{
    if (shmdt(addr) != 0)
        atomic_store(&failed, 1);
}

static void *loop(void *arg)
{
    atomic_int *round = arg;

    for (;;) {
        void *addr = shmat(shmid, NULL, 0);
        pthread_cleanup_push(detach, addr);
        atomic_fetch_add(round, 1);
        /* Every other round may be cancelled while attached, the rest while detached. */
        if (atomic_load(round) % 2 == 0)
            pthread_testcancel();
        pthread_cleanup_pop(1);
        if (atomic_load(round) % 2 == 1)
            pthread_testcancel();
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    struct shmid_ds ds;
    void *result;
    int cancelled = 0;

    shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    for (int n = 0; n < THREADS; n++)
        need(pthread_create(&threads[n], NULL, loop, &rounds[n]) == 0, "pthread_create");
    for (int n = 0; n < THREADS; n++) {
        while (atomic_load(&rounds[n]) < ROUNDS)
            sched_yield();
        need(pthread_cancel(threads[n]) == 0, "pthread_cancel");
        need(pthread_join(threads[n], &result) == 0, "pthread_join");
        cancelled += result == PTHREAD_CANCELED;
    }

    need(shmctl(shmid, IPC_STAT, &ds) == 0, "shmctl(IPC_STAT)");
    printf("%d cancelled, nattch %lu\n", cancelled, (unsigned long)ds.shm_nattch);
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    return ds.shm_nattch == 0 && !atomic_load(&failed) ? 0 : 1;
}
