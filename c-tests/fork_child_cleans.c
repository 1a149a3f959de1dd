/* A parent makes one object of each family; its forked child removes both and ends first.
 * The report, the parent's as the last of the family, must say nothing: who removes is not who made, but removed is removed.
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

#define NAME "/shmaudit-fork_child_cleans"
#define SIZE 4769
#define KEY 0x5a4d0151
#define KEY_SIZE 4771

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

    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");

    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        if (shm_unlink(NAME) != 0)
            _exit(1);
        if (shmctl(shmid, IPC_RMID, NULL) != 0)
            _exit(2);
        _exit(0);
    }
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    printf("child: %d\n", status);
    return status == 0 ? 0 : 1;
}
