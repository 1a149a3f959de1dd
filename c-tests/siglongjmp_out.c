/* For 0.4 s, and on a slow machine for longer, a timer interrupts a loop of calls, and every other time its handler jumps out of it.
 * The program must go on as if nothing had happened: no lock may be left taken, no mark on the thread, no signal blocked.
 * Then it makes, by every way, what the report must still see.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NAME "/shmaudit-siglongjmp_out"
#define OPENED "/shmaudit-siglongjmp_out-opened"
#define SIZE 6173
#define KEY 0x5a4d0901
#define KEY_SIZE 6197

static sigjmp_buf back;
static volatile sig_atomic_t inside, jumps, handled;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void on_alarm(int sig)
{
    (void)sig;
    handled++;
    if (inside && handled % 2 == 0) {
        jumps++;
        siglongjmp(back, 1);
    }
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_alarm };
    struct itimerval often = { { 0, 150 }, { 0, 150 } }, never = { { 0, 0 }, { 0, 0 } };
    sigset_t before, after;
    double end = now() + 0.4;

    int watched = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(watched != -1, "shmget");
    need(sigprocmask(SIG_SETMASK, NULL, &before) == 0, "sigprocmask");
    need(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    need(setitimer(ITIMER_REAL, &often, NULL) == 0, "setitimer");
    sigsetjmp(back, 1);
    while (now() < end || (jumps <= 100 && now() < end + 20)) {
        struct shmid_ds ds;
        inside = 1;
        int fd = shm_open(NAME, O_RDONLY, 0);
        if (fd != -1)
            close(fd);
        shm_unlink(NAME);
        shmctl(watched, IPC_STAT, &ds);
        inside = 0;
    }
    inside = 0;
    need(setitimer(ITIMER_REAL, &never, NULL) == 0, "setitimer");
    need(sigprocmask(SIG_SETMASK, NULL, &after) == 0, "sigprocmask");
    printf("%s, the mask is %s\n", jumps > 100 ? "jumped often" : "jumped rarely",
           memcmp(&before, &after, 8) == 0 ? "the same" : "another");
    need(shmctl(watched, IPC_RMID, NULL) == 0, "shmctl");

    int fd = open("/dev/shm" OPENED, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    return 0;
}
