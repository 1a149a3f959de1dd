/*
 * Leaves one segment of 4097 bytes and one object of 1234 bytes behind, then ends as it is told:
 *
 *   leaves NAME exit STATUS | signal NUMBER | killpg | wait | daemon | closed | busy CALLS | many PROCESSES
 *
 * wait: until SIGTERM, which it answers with status 9; SIGUSR1 has it make 120,000 calls, and then the file "done". daemon: its child stays, in a session of its own, with everything
 * closed, in another root, and makes a second object NAME-daemon before it is told by SIGTERM to remove it; SIGUSR1 has it
 * make 300,000 calls, and then the file NAME-done beside its object. closed: says
 * which of descriptors 0 to 2 are open, and whether SIGPIPE is ignored, by its status. busy: that many calls more. many:
 * that many children, one after another, each of which makes an object and removes it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void make(const char *name, long size)
{
    int fd = shm_open(name, O_CREAT | O_RDWR, 0600);
    if (fd < 0 || ftruncate(fd, size) != 0)
        exit(99);
    close(fd);
}

static volatile sig_atomic_t told;

static void tell(int signal)
{
    (void)signal;
    told = 1;
}

static volatile sig_atomic_t asked;

static void ask(int signal)
{
    (void)signal;
    asked = 1;
}

static int busy(long number)
{
    for (long call = 0; call < number; call++)
        if (shmget(0x6c656176, 0, 0) >= 0 || errno != ENOENT)
            return 95;
    return 0;
}

static void until_told(const char *done, long calls)
{
    struct timespec nap = { 0, 10000000 };
    while (!told) {
        nanosleep(&nap, NULL);
        if (asked && busy(calls) == 0) {
            asked = 0;
            close(open(done, O_CREAT | O_WRONLY, 0600));
        }
    }
}

int main(int argc, char **argv)
{
    long number = argc > 3 ? atol(argv[3]) : 0;
    char other[64];

    if (argc < 3)
        return 2;
    if (strcmp(argv[2], "closed") == 0) {
        struct sigaction action;
        int open = 0;
        for (int fd = 0; fd < 3; fd++)
            open |= fcntl(fd, F_GETFD) < 0 ? 0 : 1 << fd;
        sigaction(SIGPIPE, NULL, &action);
        return open | (action.sa_handler == SIG_IGN ? 8 : 0);
    }
    if (shmget(IPC_PRIVATE, 4097, IPC_CREAT | 0600) < 0)
        return 98;
    make(argv[1], 1234);
    snprintf(other, sizeof other, "%s-daemon", argv[1]);
    printf("made\n");
    fflush(stdout);
    if (strcmp(argv[2], "exit") == 0)
        return (int)number;
    if (strcmp(argv[2], "signal") == 0)
        return raise((int)number) == 0 ? 97 : 96;
    if (strcmp(argv[2], "killpg") == 0) {
        for (int child = 0; child < 3; child++)
            if (fork() == 0)
                for (;;)
                    pause();
        return kill(0, SIGKILL);
    }
    if (strcmp(argv[2], "wait") == 0) {
        signal(SIGTERM, tell);
        signal(SIGUSR1, ask);
        printf("waits\n");
        fflush(stdout);
        until_told("done", 120000);
        return 9;
    }
    if (strcmp(argv[2], "busy") == 0)
        return busy(number);
    if (strcmp(argv[2], "many") == 0) {
        for (long child = 0; child < number; child++) {
            pid_t pid = fork();
            if (pid == 0) {
                make(other, child + 1);
                _exit(shm_unlink(other) == 0 ? 0 : 1);
            }
            int status;
            if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
                return 94;
        }
        return 0;
    }
    if (strcmp(argv[2], "daemon") == 0) {
        if (fork() != 0)
            return 0;
        setsid();
        if (fork() != 0)
            _exit(0);
        signal(SIGTERM, tell);
        signal(SIGUSR1, ask);
        if (argc > 3) {
            FILE *file = fopen(argv[3], "w");
            if (file == NULL)
                _exit(1);
            fprintf(file, "%d\n", (int)getpid());
            fclose(file);
        }
        for (int fd = 0; fd < 1024; fd++)
            close(fd);
        make(other, 4321);
        if (chroot("/dev") != 0)
            _exit(1);
        char below[80], done[80];
        snprintf(below, sizeof below, "/shm%s", other);
        snprintf(done, sizeof done, "/shm%s-done", argv[1]);
        until_told(done, 300000);
        _exit(unlink(below) == 0 ? 0 : 1);
    }
    return 2;
}
