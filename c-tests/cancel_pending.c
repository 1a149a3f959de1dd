/* A thread whose cancellation is pending makes calls of shared memory, none of which is a cancellation point, and comes to an
 * end only where it asks for it. Its segment is gone by then.
 */
#define _XOPEN_SOURCE 700
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY_SIZE 6317

static sem_t ready, cancelled;
static int calls;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void *thread(void *unused)
{
    int old;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    need(sem_post(&ready) == 0 && sem_wait(&cancelled) == 0, "semaphore");
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
    for (int i = 0; i < 10; i++) {
        struct shmid_ds ds;
        int shmid = shmget(IPC_PRIVATE, KEY_SIZE, IPC_CREAT | 0600);
        calls += shmid != -1;
        void *at = shmat(shmid, NULL, 0);
        calls += at != (void *)-1;
        calls += shmctl(shmid, IPC_STAT, &ds) == 0;
        calls += shmdt(at) == 0;
        calls += shmctl(shmid, IPC_RMID, NULL) == 0;
    }
    pthread_testcancel();
    return unused;
}

int main(void)
{
    pthread_t id;
    void *result;

    need(sem_init(&ready, 0, 0) == 0 && sem_init(&cancelled, 0, 0) == 0, "sem_init");
    need(pthread_create(&id, NULL, thread, NULL) == 0, "pthread_create");
    need(sem_wait(&ready) == 0, "sem_wait");
    need(pthread_cancel(id) == 0, "pthread_cancel");
    need(sem_post(&cancelled) == 0, "sem_post");
    need(pthread_join(id, &result) == 0, "pthread_join");
    printf("%d calls, then %s\n", calls, result == PTHREAD_CANCELED ? "cancelled" : "not cancelled");
    return 0;
}
