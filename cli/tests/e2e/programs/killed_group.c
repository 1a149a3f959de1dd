/*
 * Three children each leave a POSIX object and a segment behind; then the whole group is killed. Nobody can report from
 * inside; the journal can.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

static int leave(int which)
{
    char name[64];
    int fd, shmid;

    snprintf(name, sizeof name, "/shmaudit-killed_group-%d", which);
    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    shmid = shmget(0x5a4d0f00 + which, 9101 + 2 * which, IPC_CREAT | IPC_EXCL | 0600);
    return fd == -1 || ftruncate(fd, 8101 + 2 * which) == -1 || shmid == -1;
}

int main(void)
{
    int ready[2];
    char byte;

    if (setpgid(0, 0) == -1 || pipe(ready) == -1)
        return 1;
    for (int which = 0; which < 3; which++) {
        if (fork() == 0) {
            if (leave(which) || write(ready[1], "x", 1) != 1)
                _exit(1);
            pause();
        }
    }
    for (int which = 0; which < 3; which++)
        if (read(ready[0], &byte, 1) != 1)
            return 1;
    killpg(0, SIGKILL);
    return 1;
}
