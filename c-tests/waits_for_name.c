/* Names and keys that were removed are asked for until they are there again, and removed once more before they are made.
 * The report must say nothing: who asks for what comes back was waiting, and who removes before making was making sure.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAME "/shmaudit-waits_for_name"
#define SIZE 6001
#define KEY 0x5a4d0401
#define KEY_SIZE 6003

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void make(void)
{
    shm_unlink(NAME);
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    int old = shmget(KEY, 0, 0);
    need(old == -1 && errno == ENOENT, "shmget of nothing");
    need(shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600) != -1, "shmget");
}

static void destroy(void)
{
    need(shm_unlink(NAME) == 0, "shm_unlink");
    need(shmctl(shmget(KEY, 0, 0), IPC_RMID, NULL) == 0, "shmctl");
}

static int wait_for(int answer)
{
    const struct timespec while_waiting = { 0, 1000000 };
    int fd;
    char byte = 0;

    /* The first look tells the maker that there is somebody who waits. */
    while ((fd = shm_open(NAME, O_RDWR, 0)) == -1 && errno == ENOENT) {
        if (byte == 0 && write(answer, &byte, 1) != 1)
            return -1;
        byte = 1;
        nanosleep(&while_waiting, NULL);
    }
    return fd;
}

int main(void)
{
    int status, answer[2];
    char byte;

    for (int round = 0; round < 3; round++) {
        make();
        destroy();
    }
    need(pipe(answer) == 0, "pipe");
    pid_t child = fork();
    need(child != -1, "fork");
    if (child == 0) {
        int fd = wait_for(answer[1]);
        _exit(fd != -1 && close(fd) == 0 ? 0 : 1);
    }
    need(read(answer[0], &byte, 1) == 1, "read");
    make();
    need(waitpid(child, &status, 0) == child && status == 0, "the child");
    destroy();
    puts("found");
    return 0;
}
