/* Pointers that lead nowhere go to shmctl, open and unlink, which say EFAULT, and to shmdt, which says EINVAL.
 * The report must name the shmdt as a bad-detach and nothing else: a pointer may only be followed where the kernel could.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#define KEY 0x5a4d03c1
#define SIZE 6017

/* Volatile, or the compiler would see through to the constant and warn. */
static volatile uintptr_t nowhere = 8;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void show(const char *call, int result)
{
    printf("%s: %s\n", call, result == -1 ? strerror(errno) : "ok");
}

int main(void)
{
    void *bad = (void *)nowhere;

    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    show("shmctl(IPC_STAT)", shmctl(shmid, IPC_STAT, bad));
    show("shmctl(IPC_SET)", shmctl(shmid, IPC_SET, bad));
    show("shmctl(IPC_INFO)", shmctl(0, IPC_INFO, bad));
    show("shmctl(SHM_INFO)", shmctl(0, SHM_INFO, bad));
    show("open", open(bad, O_RDWR | O_CREAT, 0600));
    show("openat", openat(AT_FDCWD, bad, O_RDWR | O_CREAT, 0600));
    show("unlink", unlink(bad));
    show("rename", rename(bad, bad));
    show("shmdt", shmdt(bad));
    need(shmctl(shmid, IPC_RMID, bad) == 0, "shmctl(IPC_RMID)");
    return 0;
}
