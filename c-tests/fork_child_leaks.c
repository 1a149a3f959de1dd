/* A forked child makes one object of each family and ends; its parent makes nothing and ends after it.
 * The report, the parent's as the last of the family, must name both leaks by the child's call sites.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-fork_child_leaks"
#define SIZE 4801
#define KEY 0x5a4d0161
#define KEY_SIZE 4803

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static int child(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, SIZE) != 0 || close(fd) != 0)
        return 1;
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    return shmid == -1 ? 2 : 0;
}

int main(void)
{
    int status;

    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0)
        _exit(child());
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    printf("child: %d\n", status);
    return status == 0 ? 0 : 1;
}
