/* For 0.3 s a timer interrupts a loop of shmget, shmat, shmdt and IPC_RMID with a handler that calls shmctl and close itself.
 * The report must say nothing, and the program must neither hang nor miscount: a handler may come in the midst of any call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define KEY 0x5a4d0351
#define KEY_SIZE 5793
#define LOOP_SIZE 5795

static int watched;
static volatile sig_atomic_t handled, wrong;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void on_alarm(int sig)
{
    int saved = errno;
    struct shmid_ds ds;

    (void)sig;
    if (shmctl(watched, IPC_STAT, &ds) != 0 || ds.shm_segsz != KEY_SIZE || ds.shm_nattch != 0)
        wrong = 1;
    if (close(-1) != -1 || errno != EBADF)
        wrong = 1;
    handled++;
    errno = saved;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
    long made = 0, attached = 0, detached = 0, removed = 0;

    watched = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(watched != -1, "shmget");
    need(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    need(setitimer(ITIMER_REAL, &often, NULL) == 0, "setitimer");

    for (double end = now() + 0.3; now() < end;) {
        int shmid = shmget(IPC_PRIVATE, LOOP_SIZE, IPC_CREAT | 0600);
        made += shmid != -1;
        char *addr = shmat(shmid, NULL, 0);
        attached += addr != (void *)-1;
        detached += shmdt(addr) == 0;
        removed += shmctl(shmid, IPC_RMID, NULL) == 0;
    }

    need(setitimer(ITIMER_REAL, &never, NULL) == 0, "setitimer");
    need(shmctl(watched, IPC_RMID, NULL) == 0, "shmctl");
    int match = made > 0 && attached == made && detached == made && removed == made;
    printf("handler %s and was %s\n", handled > 0 ? "ran" : "never ran", wrong ? "wrong" : "right");
    printf("counts %s\n", match ? "match" : "differ");
    return match && handled > 0 && !wrong ? 0 : 1;
}
