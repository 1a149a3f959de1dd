/* A second thread waits for the address that the first is attached at, and takes it the moment that it is free, twenty times.
 * All of the second's attachments are there at the end, made where they were made. Whoever notes a detachment after it has
 * happened notes it after the next owner's attachment, and takes that one for gone.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#define ROUNDS 20
#define KEY_SIZE 6271

static int shmid;
static char *volatile wanted;
static volatile int taken;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void *waiter(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        while (wanted == NULL)
            usleep(10);
        while (shmat(shmid, wanted, 0) != wanted)
            ;
        wanted = NULL;
        taken = i + 1;
    }
    return unused;
}

int main(void)
{
    pthread_t thread;

    shmid = shmget(IPC_PRIVATE, KEY_SIZE, 0600);
    need(shmid != -1, "shmget");
    need(pthread_create(&thread, NULL, waiter, NULL) == 0, "pthread_create");
    for (int i = 0; i < ROUNDS; i++) {
        char *at = shmat(shmid, NULL, 0);
        need(at != (void *)-1, "shmat");
        wanted = at;
        usleep(500);
        need(shmdt(at) == 0, "shmdt");
        while (taken != i + 1)
            usleep(10);
    }
    need(pthread_join(thread, NULL) == 0, "pthread_join");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    printf("%d attached\n", taken);
    return 0;
}
