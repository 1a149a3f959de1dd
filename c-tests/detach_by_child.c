/* A forked child detaches, in its own memory, what its parent attached; the parent's attachment stays and is detached later.
 * The report must say nothing: neither shmdt is a second one.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY 0x5a4d0081
#define SIZE 4353

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int status;

    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    volatile char *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");

    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        addr[0] = 'c';
        _exit(shmdt((void *)addr) == 0 ? 0 : 1);
    }
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    printf("child: %d\n", status);
    printf("parent still reads '%c'\n", addr[0]);
    need(shmdt((void *)addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    return status == 0 ? 0 : 1;
}
